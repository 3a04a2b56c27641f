/* message/utf8.c - see utf8.h. */
#include "message/utf8.h"

/* Bytes of the sequence that begins here, 0: it is none. Its second byte's limits keep overlong forms, surrogates and what is
 * beyond U+10FFFF out. */
static size_t sequence(const unsigned char *at, size_t left)
{
    size_t length = at[0] < 0x80   ? 1
                    : at[0] < 0xc2 ? 0
                    : at[0] < 0xe0 ? 2
                    : at[0] < 0xf0 ? 3
                    : at[0] < 0xf5 ? 4
                                   : 0;
    if (length > left)
        return 0;
    if (length < 2)
        return length;
    unsigned char least = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char most = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < least || at[1] > most)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

bool kin__is_utf8(const void *text, size_t size)
{
    const unsigned char *at = text;
    while (size) {
        size_t length = sequence(at, size);
        if (!length)
            return false;
        at += length;
        size -= length;
    }
    return true;
}
