/* manager/openssl.c - see openssl.h. */
#include "manager/openssl.h"

#include "base/failure.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#define LIBRARY "libssl.so.3"

static bool load(struct kin__openssl *openssl)
{
    openssl->handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!openssl->handle) {
        const char *why = dlerror();
        kin__fail(KIN_ENOTSUP, "cannot use TLS: %s (install OpenSSL 3)", why ? why : LIBRARY);
        return false;
    }
    bool whole = true;
    /* libcrypto's functions are found, too: it is what libssl depends on. */
#define LOAD(result, function, arguments) \
    whole = whole && (openssl->function = (__typeof__(openssl->function))dlsym(openssl->handle, #function));
    KIN__OPENSSL(LOAD)
#undef LOAD
    /* It is not taken down at exit, where another thread may be at it still. */
    if (whole && openssl->OPENSSL_init_ssl(KIN__SSL_INIT_NO_ATEXIT, NULL))
        return true;
    dlclose(openssl->handle);
    kin__fail(KIN_ENOTSUP, "cannot use TLS: " LIBRARY " %s (install OpenSSL 3)",
              whole ? "could not be set up" : "is another version");
    return false;
}

/* Several threads may load it at once; one of them is the first. No lock: a fork might leave it held. */
const struct kin__openssl *kin__openssl(void)
{
    static struct kin__openssl *_Atomic loaded;
    struct kin__openssl *openssl = atomic_load_explicit(&loaded, memory_order_acquire), *first = NULL;
    if (openssl)
        return openssl;
    openssl = malloc(sizeof *openssl);
    if (!openssl) {
        kin__fail(KIN_ENOMEM, "cannot load OpenSSL: out of memory");
        return NULL;
    }
    if (!load(openssl)) {
        free(openssl);
        return NULL;
    }
    if (atomic_compare_exchange_strong(&loaded, &first, openssl))
        return openssl;
    dlclose(openssl->handle);
    free(openssl);
    return first;
}
