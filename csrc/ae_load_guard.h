/* ae_load_guard.h - how long the blocks take, and when to step down so that sound goes on.
 *
 * Times are kept as a histogram of thousandths of the block, for the median and the 99th
 * percentile since the start. When within one second more than 1 % of the blocks (p99), and at
 * least two, took more than 70 % of their time, the guard steps down; after ten seconds in which no
 * block took more than 35 % it steps up again. What a step means is ae_graph_set_shed's table:
 *   0 everything   1 no meters   2 and the leveller holds its gain   3 and no noise suppression
 * The echo filter is never given up.
 * A plain struct, part of its owner. Thread: audio; no allocation. */
#ifndef AE_LOAD_GUARD_H
#define AE_LOAD_GUARD_H

#include "ae_common.h"

/* ffi:begin */
typedef struct {
    float p50_us, p99_us, max_us; /* computing time of a callback since the start */
    float block_us;               /* what there is */
    int shed_level;               /* 0 .. 3 */
} ae_load_report;
/* ffi:end */

enum { AE_LOAD_BINS = 1000 };

typedef struct {
    ae_load_report report;
    uint32_t bins[AE_LOAD_BINS + 1]; /* the last one: longer than the block */
    int64_t count;
    int window_blocks, window_over; /* of the second that runs */
    int calm_blocks;                /* in a row below the lower limit */
} ae_load_guard;

/* Forget all times; block_s is the time that one callback's frames last. */
void ae_load_guard_open(ae_load_guard *self, double block_s);
/* One callback took `busy_s`. Returns 1 when the level changed. */
int ae_load_guard_update(ae_load_guard *self, double busy_s);
/* Bring the percentiles up to date: a walk over the histogram, for once in many blocks. */
void ae_load_guard_measure(ae_load_guard *self);

#endif
