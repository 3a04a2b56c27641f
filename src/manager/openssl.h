/*
 * manager/openssl.h - OpenSSL 3, which is loaded when TLS is first asked for.
 *
 * Not linked: a library that is linked is mapped in every process, and each mapping makes each fork dearer. Nor are its headers
 * needed to build: what is used of it is written down here, as its manual has it; it promises that all of 3.x keeps to that.
 */
#ifndef KIN_MANAGER_OPENSSL_H
#define KIN_MANAGER_OPENSSL_H

#include <stddef.h>
#include <stdint.h>

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
typedef struct ssl_session_st SSL_SESSION;
typedef struct ssl_cipher_st SSL_CIPHER;
typedef struct ssl_method_st SSL_METHOD;
typedef struct bio_st BIO;
typedef struct bio_method_st BIO_METHOD;
typedef struct evp_md_st EVP_MD;

typedef int kin__psk_find(SSL *ssl, const unsigned char *identity, size_t size, SSL_SESSION **out);
typedef int kin__psk_use(SSL *ssl, const EVP_MD *md, const unsigned char **identity, size_t *size,
                         SSL_SESSION **out);
typedef int kin__bio_write(BIO *bio, const char *data, int size);
typedef int kin__bio_read(BIO *bio, char *data, int size);
typedef long kin__bio_ctrl(BIO *bio, int what, long number, void *pointer);
typedef int kin__bio_create(BIO *bio);
typedef int kin__password(char *out, int room, int writing, void *arg);

#define KIN__OPENSSL(X)                                                                    \
    X(int, OPENSSL_init_ssl, (uint64_t options, const void *settings))                     \
    X(const SSL_METHOD *, TLS_server_method, (void))                                       \
    X(const SSL_METHOD *, TLS_client_method, (void))                                       \
    X(SSL_CTX *, SSL_CTX_new, (const SSL_METHOD *method))                                  \
    X(void, SSL_CTX_free, (SSL_CTX * context))                                             \
    X(long, SSL_CTX_ctrl, (SSL_CTX * context, int what, long number, void *pointer))       \
    X(uint64_t, SSL_CTX_set_options, (SSL_CTX * context, uint64_t options))                \
    X(int, SSL_CTX_set_num_tickets, (SSL_CTX * context, size_t count))                     \
    X(int, SSL_CTX_set_ciphersuites, (SSL_CTX * context, const char *names))               \
    X(int, SSL_CTX_set_ex_data, (SSL_CTX * context, int index, void *data))                \
    X(void *, SSL_CTX_get_ex_data, (const SSL_CTX *context, int index))                    \
    X(int, SSL_CTX_use_certificate_chain_file, (SSL_CTX * context, const char *path))      \
    X(int, SSL_CTX_use_PrivateKey_file, (SSL_CTX * context, const char *path, int type))   \
    X(int, SSL_CTX_check_private_key, (const SSL_CTX *context))                            \
    X(int, SSL_CTX_load_verify_file, (SSL_CTX * context, const char *path))                \
    X(void, SSL_CTX_set_default_passwd_cb, (SSL_CTX * context, kin__password * f))         \
    X(void, SSL_CTX_set_verify, (SSL_CTX * context, int mode, void *callback))             \
    X(void, SSL_CTX_set_psk_find_session_callback, (SSL_CTX * context, kin__psk_find * f)) \
    X(void, SSL_CTX_set_psk_use_session_callback, (SSL_CTX * context, kin__psk_use * f))   \
    X(SSL *, SSL_new, (SSL_CTX * context))                                                 \
    X(void, SSL_free, (SSL * ssl))                                                         \
    X(void, SSL_set_accept_state, (SSL * ssl))                                             \
    X(void, SSL_set_connect_state, (SSL * ssl))                                            \
    X(void, SSL_set_bio, (SSL * ssl, BIO * in, BIO * out))                                 \
    X(int, SSL_set1_host, (SSL * ssl, const char *name))                                   \
    X(SSL_CTX *, SSL_get_SSL_CTX, (const SSL *ssl))                                        \
    X(int, SSL_do_handshake, (SSL * ssl))                                                  \
    X(int, SSL_read_ex, (SSL * ssl, void *data, size_t size, size_t *got))                 \
    X(int, SSL_write_ex, (SSL * ssl, const void *data, size_t size, size_t *sent))         \
    X(int, SSL_pending, (const SSL *ssl))                                                  \
    X(int, SSL_get_error, (const SSL *ssl, int result))                                    \
    X(long, SSL_get_verify_result, (const SSL *ssl))                                       \
    X(const SSL_CIPHER *, SSL_CIPHER_find, (SSL * ssl, const unsigned char *bytes))        \
    X(SSL_SESSION *, SSL_SESSION_new, (void))                                              \
    X(void, SSL_SESSION_free, (SSL_SESSION * session))                                     \
    X(int, SSL_SESSION_set1_master_key, (SSL_SESSION * session, const void *k, size_t n))  \
    X(int, SSL_SESSION_set_cipher, (SSL_SESSION * session, const SSL_CIPHER *cipher))      \
    X(int, SSL_SESSION_set_protocol_version, (SSL_SESSION * session, int version))         \
    X(BIO_METHOD *, BIO_meth_new, (int type, const char *name))                            \
    X(void, BIO_meth_free, (BIO_METHOD * method))                                          \
    X(int, BIO_meth_set_write, (BIO_METHOD * method, kin__bio_write * f))                  \
    X(int, BIO_meth_set_read, (BIO_METHOD * method, kin__bio_read * f))                    \
    X(int, BIO_meth_set_ctrl, (BIO_METHOD * method, kin__bio_ctrl * f))                    \
    X(int, BIO_meth_set_create, (BIO_METHOD * method, kin__bio_create * f))                \
    X(BIO *, BIO_new, (const BIO_METHOD *method))                                          \
    X(void, BIO_set_data, (BIO * bio, void *data))                                         \
    X(void *, BIO_get_data, (BIO * bio))                                                   \
    X(void, BIO_set_init, (BIO * bio, int init))                                           \
    X(void, BIO_set_flags, (BIO * bio, int flags))                                         \
    X(void, BIO_clear_flags, (BIO * bio, int flags))                                       \
    X(void, ERR_clear_error, (void))                                                       \
    X(unsigned long, ERR_peek_last_error, (void))                                          \
    X(const char *, ERR_reason_error_string, (unsigned long error))                        \
    X(const char *, X509_verify_cert_error_string, (long error))

struct kin__openssl {
    void *handle;
#define KIN__OPENSSL_FIELD(result, function, arguments) result(*function) arguments;
    KIN__OPENSSL(KIN__OPENSSL_FIELD)
#undef KIN__OPENSSL_FIELD
};

/* Numbers of its headers. */
enum {
    KIN__SSL_VERSION_1_3 = 0x0304,
    KIN__SSL_CTRL_MODE = 33,
    KIN__SSL_CTRL_SESSION_CACHE = 44,
    KIN__SSL_CTRL_LEAST_VERSION = 123,
    KIN__SSL_CTRL_MOST_VERSION = 124,
    KIN__SSL_MODE_PARTIAL_WRITE = 1,
    KIN__SSL_MODE_MOVING_BUFFER = 2,
    KIN__SSL_MODE_RELEASE_BUFFERS = 16,
    KIN__SSL_FILE_PEM = 1,
    KIN__SSL_VERIFY_PEER = 1,
    KIN__SSL_VERIFY_MUST = 2,
    KIN__SSL_ERROR_WANT_READ = 2,
    KIN__SSL_ERROR_WANT_WRITE = 3,
    KIN__SSL_ERROR_CLOSED = 6,
    KIN__SSL_ALERT = 1000, /* a reason from there on: the peer has sent that alert */
    KIN__SSL_ALERT_VERSION = 1070,
    KIN__BIO_SOURCE_SINK = 0x400,
    KIN__BIO_FLUSH = 11,
    KIN__BIO_READ = 1,
    KIN__BIO_WRITE = 2,
    KIN__BIO_RETRY = 8,
    KIN__BIO_ANY = 15
};
#define KIN__SSL_NO_TICKETS (UINT64_C(1) << 14)
#define KIN__SSL_INIT_NO_ATEXIT UINT64_C(0x80000)
#define KIN__SSL_REASON 0x7fffffu

/* NULL: it is not there, or another version: KIN_ENOTSUP, with the record. */
const struct kin__openssl *kin__openssl(void);

#endif
