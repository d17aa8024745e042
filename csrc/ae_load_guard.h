/* ae_load_guard.h - how long the blocks take, and when to step down so that sound goes on.
 *
 * Times are kept as a histogram of thousandths of the block, for the median and the 99th
 * percentile since the start. When within one second more than 1 % of the blocks (p99), and at
 * least two, took more than 70 % of their time, the guard steps down; after ten seconds in which no
 * block took more than 35 % it steps up again. A level at which the plan at hand has nothing to
 * leave out is passed over. The echo filter is never given up.
 * A plain struct, part of its owner. Thread: audio; no allocation. */
#ifndef AE_LOAD_GUARD_H
#define AE_LOAD_GUARD_H

#include "ae_common.h"

/* ffi:begin */
/* What is left out; each level leaves out what those before it do as well. */
typedef enum {
    AE_SHED_NOTHING = 0,
    AE_SHED_LARGE_NET = 1, /* the small net takes its place */
    AE_SHED_NETS = 2,      /* the suppressor goes on without */
    AE_SHED_METERS = 3,
    AE_SHED_LEVELLER = 4,   /* it holds its gain */
    AE_SHED_SUPPRESSOR = 5, /* it passes its input on */
} ae_shed_level;

typedef struct {
    float p50_us, p99_us, max_us; /* computing time of a callback since the start */
    float block_us;               /* what there is */
    int shed_level;               /* ae_shed_level */
} ae_load_report;
/* ffi:end */

enum { AE_LOAD_BINS = 1000 };

typedef struct {
    ae_load_report report;
    uint32_t bins[AE_LOAD_BINS + 1]; /* the last one: longer than the block */
    int64_t count;
    int window_blocks, window_over; /* of the second that runs */
    int calm_blocks;                /* in a row below the lower limit */
    int idle_levels;                /* bit n: level n would leave nothing out; the owner's to set */
} ae_load_guard;

/* Forget all times; block_s is the time that one callback's frames last. */
void ae_load_guard_open(ae_load_guard *self, double block_s);
/* One callback took `busy_s`. Returns 1 when the level changed. */
int ae_load_guard_update(ae_load_guard *self, double busy_s);
/* Bring the percentiles up to date: a walk over the histogram, for once in many blocks. */
void ae_load_guard_measure(ae_load_guard *self);

#endif
