/* ae_fifo.h - a short queue of frames inside one thread, between device blocks and graph blocks.
 *
 * Interleaved with any number of channels on the device's side, planar on the graph's side. When
 * the counts differ, channel c of the receiver takes channel c modulo the giver's: a mono voice
 * goes to both loudspeakers, a mono engine hears the left of two microphones.
 * Latency: what the owner lets it hold. Cost: one copy. Thread: one; no allocation after create. */
#ifndef AE_FIFO_H
#define AE_FIFO_H

#include "ae_common.h"

typedef struct ae_fifo ae_fifo;

/* channels 1 .. 8 of the planar side; capacity in frames. */
ae_status ae_fifo_create(ae_fifo **out, int channels, int capacity_frames);
void ae_fifo_destroy(ae_fifo *self);
void ae_fifo_clear(ae_fifo *self);
int ae_fifo_fill(const ae_fifo *self); /* frames in it */
/* Append; the caller sees to it that there is room. interleaved NULL: silence. */
void ae_fifo_write(ae_fifo *self, const float *interleaved, int device_channels, int frames);
void ae_fifo_write_rows(ae_fifo *self, const float *const *rows, int frames);
/* Take the oldest; the caller sees to it that they are there. */
void ae_fifo_read(ae_fifo *self, float *interleaved, int device_channels, int frames);
void ae_fifo_read_rows(ae_fifo *self, float *const *rows, int frames);

#endif
