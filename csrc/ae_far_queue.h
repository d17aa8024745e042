/* ae_far_queue.h - the far end on its way from any thread to the loudspeaker, without a click.
 *
 * A single-producer single-consumer queue of interleaved frames. When it runs dry the last 5 ms
 * that are there fade out, and when there is enough again it fades in: a gap, but no click and no
 * hard zero. The first sound of all begins as it is. A reserve of 5 ms stays in the queue for that.
 * Latency: none beyond what waits in the queue. Thread: write on one producer thread; read and
 * drop on the audio thread (drop on the control thread while no audio thread runs); nothing is
 * allocated after create. */
#ifndef AE_FAR_QUEUE_H
#define AE_FAR_QUEUE_H

#include "ae_common.h"

/* ffi:begin */
typedef struct ae_far_queue ae_far_queue;
/* Append as many of `frames` interleaved frames as fit; returns how many. */
int ae_far_queue_write(ae_far_queue *self, const float *interleaved, int frames);
int ae_far_queue_space(const ae_far_queue *self); /* frames that fit, for the producer */
int ae_far_queue_fill(const ae_far_queue *self);
/* ffi:end */

/* channels 1 .. 8, block_frames: what a read takes, capacity_frames: at least two blocks. */
ae_status ae_far_queue_create(ae_far_queue **out, int channels, int block_frames,
                              int capacity_frames);
void ae_far_queue_destroy(ae_far_queue *self);
/* One block; silence where nothing is there. Returns 1 when a gap begins. */
int ae_far_queue_read(ae_far_queue *self, float *const *rows);
/* Throw away at most `frames`. */
void ae_far_queue_drop(ae_far_queue *self, int frames);

#endif
