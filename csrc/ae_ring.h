/* ae_ring.h - how two threads exchange data without waiting: a queue, a snapshot and a token.
 *
 * ae_ring: single-producer single-consumer queue of fixed-size elements (Lamport 1983). Indices run
 * freely and are masked, so the whole capacity is usable. Each side keeps a cached copy of the
 * other side's index on its own cache line and looks at the shared one only when the cache says
 * "full" or "empty" (Rigtorp's ring; PortAudio's pa_ringbuffer has the same queue with full
 * barriers).
 *
 * ae_triple: the newest value of a struct from one writer to one reader by triple buffering: each
 * side owns a slot, the third changes hands by one atomic exchange. The writer is wait-free, the
 * reader tries again only when there is a newer value, and a value is never torn (a sequence lock
 * would make the reader spin and race by the letter of C11).
 *
 * Either side's process may be killed at any instruction: both stay whole, and another process may
 * take the side over as it is.
 *
 * Thread: one producer or writer thread and one consumer or reader thread; create, reset and
 * destroy while neither runs. No allocation after create. The only file of the project with C11
 * atomics. */
#ifndef AE_RING_H
#define AE_RING_H

#include "ae_common.h"

/* ffi:begin */
typedef struct ae_ring ae_ring;
/* element_bytes 1 .. 65536; capacity >= 1 in elements, rounded up to a power of two; 1 GiB in all.
 */
ae_status ae_ring_create(ae_ring **out, int element_bytes, int capacity);
int ae_ring_capacity(const ae_ring *self); /* in elements, after rounding up */
/* Producer. Copies in as many of `count` elements as fit and returns how many. */
int ae_ring_write(ae_ring *self, const void *elements, int count);
/* Consumer. Copies out at most `count` elements, oldest first, and returns how many. */
int ae_ring_read(ae_ring *self, void *elements, int count);
/* Elements waiting, from any thread: exact on a quiet ring; on a busy one the producer may be told
 * more and the consumer fewer than there are by the time the answer is used. */
int ae_ring_fill(const ae_ring *self);
void ae_ring_reset(ae_ring *self); /* empties it */
void ae_ring_destroy(ae_ring *self);

typedef struct ae_triple ae_triple;
/* bytes 1 .. 1048576. The value is all zero bits until the first write. */
ae_status ae_triple_create(ae_triple **out, int bytes);
void ae_triple_write(ae_triple *self, const void *value);
/* Copies the newest value. 1: it is new since the last read; 0: it is the same one again. */
int ae_triple_read(ae_triple *self, void *value);
void ae_triple_reset(ae_triple *self); /* back to zero bits */
void ae_triple_destroy(ae_triple *self);

/* For what only one thread at a time may do: whoever has the token. */
typedef struct ae_token ae_token;
ae_status ae_token_create(ae_token **out);
int ae_token_take(ae_token *self);  /* 1: it is yours now; 0: somebody has it */
void ae_token_give(ae_token *self); /* back, for anybody to take */
void ae_token_destroy(ae_token *self);
/* ffi:end */

#endif
