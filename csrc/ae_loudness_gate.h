/* ae_loudness_gate.h - gated loudness and loudness range of a programme of any length, in fixed
 * memory.
 *
 * Method: a histogram of block energies in bins of 0.01 LU from -70 LUFS (the absolute gate; what
 * is below is not kept), each bin with its count, the sum of its energies and the sum of their
 * squared distances from the bin's centre. Means are therefore exact. Only the one bin on a
 * relative gate has to be divided: its energies are taken as spread evenly, as widely as their
 * deviation says. Where the bin holds a share f of the blocks that count, the loudness is off by
 * less than -10 log10(1 - f), 0.01 LU at 0.2 %; half an hour with half of its blocks on the gate, a
 * bed of noise, is off by 0.004. (libebur128's histogram has bins of 0.1 LU and knows only their
 * centres.) A percentile is the mean of its bin. Groups of 100 bins carry totals, so a query walks
 * 80 groups and at most two of them inside. Gates: ITU-R BS.1770-5 equations 4 to 7; EBU Tech 3342.
 * Memory: 160 kB. No allocation of its own.
 */
#ifndef AE_LOUDNESS_GATE_H
#define AE_LOUDNESS_GATE_H

#include <stdint.h>

#include "ae_common.h"

enum {
    AE_GATE_GROUPS = 80,     /* of 1 LU: -70 .. +10 LUFS; the last bin takes what is louder */
    AE_GATE_GROUP_BINS = 100 /* of 0.01 LU */
};

typedef struct {
    double sum;
    int64_t count;
} ae_gate_group;

typedef struct {
    double *sums;     /* mean squares of the blocks in each bin, added up */
    double *spreads;  /* squared distances from the bin's centre, in units of it, added up */
    uint32_t *counts; /* blocks in each bin */
    ae_gate_group groups[AE_GATE_GROUPS];
} ae_loudness_gate;

void ae_loudness_gate_layout(ae_loudness_gate *self, ae_arena *arena);
void ae_loudness_gate_reset(ae_loudness_gate *self);
void ae_loudness_gate_add(ae_loudness_gate *self, double mean_square);
void ae_loudness_gate_merge(ae_loudness_gate *self, const ae_loudness_gate *other);
/* Mean over the blocks above the gate 10 LU below their ungated mean, in LUFS; -inf without blocks.
 */
double ae_loudness_gate_mean_lufs(const ae_loudness_gate *self);
/* 95th minus 10th percentile of the blocks above the gate 20 LU below their mean; 0 without blocks.
 */
double ae_loudness_gate_range_lu(const ae_loudness_gate *self);

#endif
