/* manager/tls.c - see tls.h. */
#include "manager/tls.h"

#include "base/failure.h"
#include "manager/openssl.h"
#include "message/digest.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Ciphers whose digest is SHA-256, which the pre-shared key goes with (RFC 8446, 4.2.11). */
#define KEY_CIPHERS "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
static const unsigned char key_cipher[] = {0x13, 0x01};
static const char key_identity[] = "kin manager";
static const char key_label[] = "kin manager tls 1.3 psk";

struct kin__tls_context {
    const struct kin__openssl *openssl;
    pid_t maker;
    struct kin__tls_context *next; /* of those that were abandoned */
    SSL_CTX *ssl;
    BIO_METHOD *socket;
    bool server;
    enum kin_tls tls;
    char host[KIN_ADDRESS_MAX];
    unsigned char key[KIN__DIGEST_MOST];
};

struct kin__tls {
    struct kin__tls_context *context;
    struct kin__tls *next; /* of those that were abandoned */
    SSL *ssl;
    int fd;
    short wants;
    bool ended;  /* the other end has closed, or the socket is broken */
    bool broken; /* it must not be touched again */
    bool untrusted;
    char why[160];
};

/* A child that was forked does not free its parent's: another thread may have been in OpenSSL, with a lock that nobody in the child
 * gives back. It is kept, so that it is no leak. */
static struct kin__tls_context *abandoned_contexts;
static struct kin__tls *abandoned;

/* ---- options --------------------------------------------------------------------------------------- */

static int copy_name(char *to, size_t room, const char *from, const char *what)
{
    if (from && strlen(from) >= room)
        return kin__fail(KIN_EINVAL, "cannot use TLS: .%s is longer than %zu bytes: \"%.60s...\"", what,
                         room - 1, from);
    snprintf(to, room, "%s", from ? from : "");
    return 0;
}

int kin__tls_names_read(const kin_manager_options *options, struct kin__tls_names *out)
{
    *out = (struct kin__tls_names){.tls = (enum kin_tls)options->tls,
                                   .client_certificates = options->client_certificates};
    if (options->tls < KIN_TLS_OFF || options->tls > KIN_TLS_CERTIFICATES)
        return kin__fail(KIN_EINVAL, "cannot use TLS %d: there is no such kind", options->tls);
    if (options->tls != KIN_TLS_CERTIFICATES &&
        (options->certificate || options->private_key || options->authority || options->client_certificates))
        return kin__fail(KIN_EINVAL, "cannot use certificates: .tls is not KIN_TLS_CERTIFICATES");
    /* A process that is forked from here finds it loaded: the loader has a lock, too. */
    if (options->tls && !kin__openssl())
        return kin_error_code();
    int error = copy_name(out->certificate, sizeof out->certificate, options->certificate, "certificate");
    if (!error)
        error = copy_name(out->private_key, sizeof out->private_key, options->private_key, "private_key");
    if (!error)
        error = copy_name(out->authority, sizeof out->authority, options->authority, "authority");
    return error ? error : copy_name(out->host, sizeof out->host, options->tls_host, "tls_host");
}

/* ---- the socket, as OpenSSL sees it ------------------------------------------------------------------ */

static int socket_done(BIO *bio, struct kin__tls *tls, ssize_t done, int direction)
{
    const struct kin__openssl *openssl = tls->context->openssl;
    openssl->BIO_clear_flags(bio, KIN__BIO_ANY);
    if (done > 0)
        return (int)done;
    if (done < 0 && (errno == EAGAIN || errno == EINTR))
        openssl->BIO_set_flags(bio, direction | KIN__BIO_RETRY);
    else
        tls->ended = true;
    return done < 0 ? -1 : 0;
}

static struct kin__tls *tls_of(BIO *bio);

static int socket_write(BIO *bio, const char *data, int size)
{
    struct kin__tls *tls = tls_of(bio);
    return socket_done(bio, tls, send(tls->fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT),
                       KIN__BIO_WRITE);
}

static int socket_read(BIO *bio, char *data, int size)
{
    struct kin__tls *tls = tls_of(bio);
    return socket_done(bio, tls, recv(tls->fd, data, (size_t)size, MSG_DONTWAIT), KIN__BIO_READ);
}

static long socket_control(BIO *bio, int what, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return what == KIN__BIO_FLUSH;
}

static int socket_create(BIO *bio)
{
    kin__openssl()->BIO_set_init(bio, 1);
    return 1;
}

static struct kin__tls *tls_of(BIO *bio)
{
    return kin__openssl()->BIO_get_data(bio); /* loaded long ago */
}

/* ---- the pre-shared key -------------------------------------------------------------------------------- */

static int make_session(SSL *ssl, SSL_SESSION **out)
{
    const struct kin__openssl *openssl = kin__openssl();
    const struct kin__tls_context *context = openssl->SSL_CTX_get_ex_data(openssl->SSL_get_SSL_CTX(ssl), 0);
    const SSL_CIPHER *cipher = openssl->SSL_CIPHER_find(ssl, key_cipher);
    SSL_SESSION *session = openssl->SSL_SESSION_new();
    if (session && cipher &&
        openssl->SSL_SESSION_set1_master_key(session, context->key, sizeof context->key) &&
        openssl->SSL_SESSION_set_cipher(session, cipher) &&
        openssl->SSL_SESSION_set_protocol_version(session, KIN__SSL_VERSION_1_3)) {
        *out = session;
        return 1;
    }
    openssl->SSL_SESSION_free(session);
    return 0;
}

static int find_key(SSL *ssl, const unsigned char *identity, size_t size, SSL_SESSION **out)
{
    *out = NULL;
    if (size != sizeof key_identity - 1 || memcmp(identity, key_identity, size) != 0)
        return 1; /* of somebody else: then there is nothing that both sides have */
    return make_session(ssl, out);
}

static int use_key(SSL *ssl, const EVP_MD *md, const unsigned char **identity, size_t *size,
                   SSL_SESSION **out)
{
    (void)md;
    *identity = (const unsigned char *)key_identity;
    *size = sizeof key_identity - 1;
    return make_session(ssl, out);
}

/* ---- contexts ------------------------------------------------------------------------------------------ */

static int refuse_file(const struct kin__openssl *openssl, const char *what, const char *path)
{
    const char *why = openssl->ERR_reason_error_string(openssl->ERR_peek_last_error());
    int error = kin__fail(KIN_EINVAL, "cannot use TLS with the %s \"%s\": %s", what, path,
                          why ? why : "it could not be read");
    openssl->ERR_clear_error();
    return error;
}

/* No question is asked at a terminal. */
static int no_password(char *out, int room, int writing, void *arg)
{
    (void)out;
    (void)room;
    (void)writing;
    (void)arg;
    return -1;
}

static int use_certificates(struct kin__tls_context *context, const struct kin__tls_names *names)
{
    const struct kin__openssl *openssl = context->openssl;
    bool server = context->server;
    const char *missing = server && !names->certificate[0]                                  ? "certificate"
                          : names->certificate[0] && !names->private_key[0]                 ? "private_key"
                          : (!server || names->client_certificates) && !names->authority[0] ? "authority"
                                                                                            : NULL;
    if (missing)
        return kin__fail(KIN_EINVAL, "cannot use TLS with certificates: .%s is not given", missing);
    openssl->SSL_CTX_set_default_passwd_cb(context->ssl, no_password);
    if (names->certificate[0]) {
        if (openssl->SSL_CTX_use_certificate_chain_file(context->ssl, names->certificate) != 1)
            return refuse_file(openssl, "certificate", names->certificate);
        if (openssl->SSL_CTX_use_PrivateKey_file(context->ssl, names->private_key, KIN__SSL_FILE_PEM) != 1 ||
            openssl->SSL_CTX_check_private_key(context->ssl) != 1)
            return refuse_file(openssl, "private key", names->private_key);
    }
    if (server && !names->client_certificates)
        return 0;
    if (openssl->SSL_CTX_load_verify_file(context->ssl, names->authority) != 1)
        return refuse_file(openssl, "authority", names->authority);
    openssl->SSL_CTX_set_verify(context->ssl, KIN__SSL_VERIFY_PEER | KIN__SSL_VERIFY_MUST, NULL);
    return 0;
}

static int use_shared_key(struct kin__tls_context *context, const void *key, size_t size)
{
    const struct kin__openssl *openssl = context->openssl;
    kin__hmac(KIN__SHA256, key, size, key_label, sizeof key_label - 1, context->key);
    if (openssl->SSL_CTX_set_ciphersuites(context->ssl, KEY_CIPHERS) != 1)
        return kin__fail(KIN_ENOTSUP, "cannot use TLS by key: OpenSSL does not allow %s", KEY_CIPHERS);
    if (context->server)
        openssl->SSL_CTX_set_psk_find_session_callback(context->ssl, find_key);
    else
        openssl->SSL_CTX_set_psk_use_session_callback(context->ssl, use_key);
    /* A client trusts no certificate then: a server that has one instead of the key is refused. */
    openssl->SSL_CTX_set_verify(context->ssl, context->server ? 0 : KIN__SSL_VERIFY_PEER, NULL);
    return 0;
}

static int set_up(struct kin__tls_context *context, const struct kin__tls_names *names, const void *key,
                  size_t key_size)
{
    const struct kin__openssl *openssl = context->openssl;
    openssl->ERR_clear_error();
    context->ssl =
        openssl->SSL_CTX_new(context->server ? openssl->TLS_server_method() : openssl->TLS_client_method());
    context->socket = openssl->BIO_meth_new(KIN__BIO_SOURCE_SINK, "kin");
    if (!context->ssl || !context->socket ||
        openssl->SSL_CTX_ctrl(context->ssl, KIN__SSL_CTRL_LEAST_VERSION, KIN__SSL_VERSION_1_3, NULL) != 1 ||
        openssl->SSL_CTX_ctrl(context->ssl, KIN__SSL_CTRL_MOST_VERSION, KIN__SSL_VERSION_1_3, NULL) != 1 ||
        !openssl->SSL_CTX_set_ex_data(context->ssl, 0, context))
        return kin__fail(KIN_ENOTSUP, "cannot use TLS: OpenSSL could not be set up for TLS 1.3");
    openssl->BIO_meth_set_write(context->socket, socket_write);
    openssl->BIO_meth_set_read(context->socket, socket_read);
    openssl->BIO_meth_set_ctrl(context->socket, socket_control);
    openssl->BIO_meth_set_create(context->socket, socket_create);
    openssl->SSL_CTX_ctrl(
        context->ssl, KIN__SSL_CTRL_MODE,
        KIN__SSL_MODE_PARTIAL_WRITE | KIN__SSL_MODE_MOVING_BUFFER | KIN__SSL_MODE_RELEASE_BUFFERS, NULL);
    openssl->SSL_CTX_ctrl(context->ssl, KIN__SSL_CTRL_SESSION_CACHE, 0, NULL);
    openssl->SSL_CTX_set_options(context->ssl, KIN__SSL_NO_TICKETS);
    openssl->SSL_CTX_set_num_tickets(context->ssl, 0);
    return names->tls == KIN_TLS_KEY ? use_shared_key(context, key, key_size)
                                     : use_certificates(context, names);
}

int kin__tls_context_new(const struct kin__tls_names *names, const void *key, size_t key_size, bool server,
                         const char *host, struct kin__tls_context **out)
{
    const struct kin__openssl *openssl = kin__openssl();
    if (!openssl)
        return kin_error_code();
    struct kin__tls_context *context = calloc(1, sizeof *context);
    if (!context)
        return kin__fail(KIN_ENOMEM, "cannot use TLS: out of memory");
    context->openssl = openssl;
    context->maker = getpid();
    context->server = server;
    context->tls = names->tls;
    snprintf(context->host, sizeof context->host, "%s", names->host[0] || !host ? names->host : host);
    int error = set_up(context, names, key, key_size);
    if (error)
        kin__tls_context_free(context);
    else
        *out = context;
    return error;
}

void kin__tls_context_free(struct kin__tls_context *context)
{
    if (!context)
        return;
    explicit_bzero(context->key, sizeof context->key);
    if (context->maker != getpid()) {
        context->next = abandoned_contexts;
        abandoned_contexts = context;
        return;
    }
    context->openssl->SSL_CTX_free(context->ssl);
    context->openssl->BIO_meth_free(context->socket);
    free(context);
}

/* ---- connections ----------------------------------------------------------------------------------------- */

struct kin__tls *kin__tls_new(struct kin__tls_context *context, int fd)
{
    const struct kin__openssl *openssl = context->openssl;
    struct kin__tls *tls = calloc(1, sizeof *tls);
    SSL *ssl = openssl->SSL_new(context->ssl);
    BIO *bio = ssl ? openssl->BIO_new(context->socket) : NULL;
    if (bio) {
        openssl->SSL_set_bio(ssl, bio, bio); /* the SSL's from here on */
        if (tls && (context->server || context->tls == KIN_TLS_KEY ||
                    openssl->SSL_set1_host(ssl, context->host) == 1)) {
            *tls = (struct kin__tls){.context = context, .ssl = ssl, .fd = fd, .wants = POLLIN};
            openssl->BIO_set_data(bio, tls);
            (context->server ? openssl->SSL_set_accept_state : openssl->SSL_set_connect_state)(ssl);
            return tls;
        }
    }
    openssl->SSL_free(ssl);
    free(tls);
    kin__fail(KIN_ENOMEM, "cannot use TLS: out of memory");
    return NULL;
}

void kin__tls_free(struct kin__tls *tls)
{
    if (!tls)
        return;
    if (tls->context->maker != getpid()) {
        tls->next = abandoned;
        abandoned = tls;
        return;
    }
    tls->context->openssl->SSL_free(tls->ssl);
    free(tls);
}

static int note_failure(struct kin__tls *tls)
{
    const struct kin__openssl *openssl = tls->context->openssl;
    unsigned long error = openssl->ERR_peek_last_error();
    unsigned reason = (unsigned)error & KIN__SSL_REASON;
    long verdict = openssl->SSL_get_verify_result(tls->ssl);
    const char *text = openssl->ERR_reason_error_string(error);
    tls->broken = true;
    if (tls->ended) /* that it did not say goodbye is no news: frames have their lengths */
        return -ECONNRESET;
    tls->untrusted = verdict != 0 || (reason > KIN__SSL_ALERT && reason != KIN__SSL_ALERT_VERSION);
    if (verdict)
        snprintf(tls->why, sizeof tls->why, "the other end's certificate: %s",
                 openssl->X509_verify_cert_error_string(verdict));
    else
        snprintf(tls->why, sizeof tls->why, "%s", text ? text : "it failed");
    return -EPROTO;
}

/* What a call of OpenSSL's that did not succeed has come to. Its queue of errors is the thread's, which others use, too. */
static int outcome(struct kin__tls *tls, int result)
{
    const struct kin__openssl *openssl = tls->context->openssl;
    int error = 0;
    switch (openssl->SSL_get_error(tls->ssl, result)) {
    case KIN__SSL_ERROR_WANT_READ:
        tls->wants = POLLIN;
        return -EAGAIN;
    case KIN__SSL_ERROR_WANT_WRITE:
        tls->wants = POLLOUT;
        return -EAGAIN;
    case KIN__SSL_ERROR_CLOSED:
        tls->ended = tls->broken = true;
        error = -ECONNRESET;
        break;
    default:
        error = note_failure(tls);
    }
    openssl->ERR_clear_error();
    return error;
}

static int usable(struct kin__tls *tls)
{
    if (tls->broken)
        return tls->ended ? -ECONNRESET : -EPROTO;
    tls->context->openssl->ERR_clear_error();
    return 0;
}

int kin__tls_shake_hands(struct kin__tls *tls)
{
    int error = usable(tls);
    if (error)
        return error;
    int result = tls->context->openssl->SSL_do_handshake(tls->ssl);
    return result == 1 ? 0 : outcome(tls, result);
}

ssize_t kin__tls_send(struct kin__tls *tls, const void *data, size_t size)
{
    size_t sent = 0;
    int error = usable(tls);
    if (error)
        return error;
    tls->wants = POLLIN;
    int result = tls->context->openssl->SSL_write_ex(tls->ssl, data, size, &sent);
    return result == 1 ? (ssize_t)sent : outcome(tls, result);
}

ssize_t kin__tls_receive(struct kin__tls *tls, void *data, size_t size)
{
    size_t got = 0;
    int error = usable(tls);
    if (!error) {
        tls->wants = POLLIN;
        int result = tls->context->openssl->SSL_read_ex(tls->ssl, data, size, &got);
        error = result == 1 ? 0 : outcome(tls, result);
    }
    return error == -ECONNRESET ? 0 : error ? error : (ssize_t)got;
}

short kin__tls_wants(const struct kin__tls *tls)
{
    return tls->wants;
}

bool kin__tls_pending(const struct kin__tls *tls)
{
    return !tls->broken && tls->context->openssl->SSL_pending(tls->ssl) > 0;
}

const char *kin__tls_why(const struct kin__tls *tls)
{
    return tls->why;
}

bool kin__tls_untrusted(const struct kin__tls *tls)
{
    return tls->untrusted;
}
