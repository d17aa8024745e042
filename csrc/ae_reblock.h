/* ae_reblock.h - any block length in, as many frames out: the adapter between a caller's blocks and
 * the graph's 10 ms blocks.
 *
 * Input frames gather in a block; when it is full the graph runs, and its output is given out while
 * the next block gathers. So the samples do not depend on how the caller cuts the stream, and the
 * added latency is one block, always. Audio is interleaved on the caller's side, as devices and
 * NumPy have it, and planar on the graph's side.
 * Thread: audio; nothing is allocated after create. Cost: one copy in, one copy out. */
#ifndef AE_REBLOCK_H
#define AE_REBLOCK_H

#include "ae_graph.h"

/* ffi:begin */
typedef struct ae_reblock ae_reblock;

ae_status ae_reblock_create(ae_reblock **out, ae_graph *graph); /* the graph is borrowed */
void ae_reblock_destroy(ae_reblock *self);
void ae_reblock_reset(ae_reblock *self);               /* the graph is left alone */
int ae_reblock_latency_frames(const ae_reblock *self); /* one block; the graph's comes on top */
/* inputs, outputs: one interleaved array of `frames` frames per graph input and output. A NULL
 * input is silence. outputs[i] may equal inputs[i] when both have the same number of channels. */
void ae_reblock_process(ae_reblock *self, const float *const *inputs, float *const *outputs,
                        int frames);
/* ffi:end */

#endif
