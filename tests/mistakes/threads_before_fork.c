/* A process is started while another thread is at work. */
#include <kin.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static pthread_mutex_t journal = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool begun;

static void *write_journal(void *arg)
{
    pthread_mutex_lock(&journal);
    begun = true;
    sleep(1);
    pthread_mutex_unlock(&journal);
    return arg;
}

static int work(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&journal);
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        return 1;
    pthread_t writer;
    pthread_create(&writer, NULL, write_journal, NULL);
    while (!begun)
        continue;
    kin_process *process = kin_process_start(work, NULL, 0, NULL);
    if (!process || kin_process_join(process, 1.5))
        fprintf(stderr, "%s\n", kin_error_message());
    kin_process_free(process);
    pthread_join(writer, NULL);
}
