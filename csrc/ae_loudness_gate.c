#include "ae_loudness_gate.h"

#include <math.h>
#include <string.h>

#include "ae_kweight.h"
#include "ae_math.h"

enum { k_bins = AE_GATE_GROUPS * AE_GATE_GROUP_BINS };

static const double k_absolute_gate_lufs = -70.0; /* BS.1770-5 */
static const double k_mean_gate = 0.1;            /* -10 LU, BS.1770-5 */
static const double k_range_gate = 0.01;          /* -20 LU, Tech 3342 */

void ae_loudness_gate_layout(ae_loudness_gate *self, ae_arena *arena)
{
    self->sums = AE_TAKE(arena, k_bins, double);
    self->counts = AE_TAKE(arena, k_bins, uint32_t);
}

void ae_loudness_gate_reset(ae_loudness_gate *self)
{
    memset(self->sums, 0, k_bins * sizeof *self->sums);
    memset(self->counts, 0, k_bins * sizeof *self->counts);
    memset(self->groups, 0, sizeof self->groups);
}

/* Bin of a mean square; negative below the absolute gate. */
static int bin_of(double mean_square)
{
    const double above = ae_lufs_from_mean_square(mean_square) - k_absolute_gate_lufs;
    if (!(above > 0.0)) return -1;
    const double bin = above * AE_GATE_GROUP_BINS;
    return bin < k_bins - 1 ? (int)bin : k_bins - 1;
}

void ae_loudness_gate_add(ae_loudness_gate *self, double mean_square)
{
    const int bin = bin_of(mean_square);
    if (bin < 0 || self->counts[bin] == UINT32_MAX) return;
    ae_gate_group *group = &self->groups[bin / AE_GATE_GROUP_BINS];
    self->sums[bin] += mean_square;
    self->counts[bin]++;
    group->sum += mean_square;
    group->count++;
}

void ae_loudness_gate_merge(ae_loudness_gate *self, const ae_loudness_gate *other)
{
    for (int b = 0; b < k_bins; b++) {
        const uint32_t room = UINT32_MAX - self->counts[b];
        if (other->counts[b] > room) continue; /* 13 years in one bin */
        self->sums[b] += other->sums[b];
        self->counts[b] += other->counts[b];
        self->groups[b / AE_GATE_GROUP_BINS].sum += other->sums[b];
        self->groups[b / AE_GATE_GROUP_BINS].count += other->counts[b];
    }
}

/* Sum and count of the blocks above a mean square, whole bins; *first is the first bin taken. */
static ae_gate_group total_above(const ae_loudness_gate *self, double gate, int *first)
{
    int bin = bin_of(gate);
    if (bin < 0) bin = 0;
    /* The bin on the gate counts when its blocks are above the gate on average. */
    if (self->sums[bin] <= gate * self->counts[bin]) bin++;
    *first = bin;
    ae_gate_group total = {0};
    for (; bin < k_bins && bin % AE_GATE_GROUP_BINS != 0; bin++) {
        total.sum += self->sums[bin];
        total.count += self->counts[bin];
    }
    for (int g = bin / AE_GATE_GROUP_BINS; g < AE_GATE_GROUPS; g++) {
        total.sum += self->groups[g].sum;
        total.count += self->groups[g].count;
    }
    return total;
}

double ae_loudness_gate_mean_lufs(const ae_loudness_gate *self)
{
    int first;
    const ae_gate_group all = total_above(self, 0.0, &first);
    if (all.count == 0) return -HUGE_VAL;
    const double mean = all.sum / (double)all.count;
    const ae_gate_group loud = total_above(self, mean * k_mean_gate, &first);
    return ae_lufs_from_mean_square(loud.sum / (double)loud.count);
}

/* Loudness of the block with `rank` blocks below it, from bin `first` on. */
static double ranked_lufs(const ae_loudness_gate *self, int first, int64_t rank)
{
    int bin = first;
    while (bin < k_bins) {
        const ae_gate_group *group = &self->groups[bin / AE_GATE_GROUP_BINS];
        if (bin % AE_GATE_GROUP_BINS == 0 && group->count <= rank) {
            rank -= group->count;
            bin += AE_GATE_GROUP_BINS;
            continue;
        }
        if (rank < self->counts[bin]) break;
        rank -= self->counts[bin++];
    }
    return ae_lufs_from_mean_square(self->sums[bin] / self->counts[bin]);
}

double ae_loudness_gate_range_lu(const ae_loudness_gate *self)
{
    int first;
    const ae_gate_group all = total_above(self, 0.0, &first);
    if (all.count == 0) return 0.0;
    const double mean = all.sum / (double)all.count;
    const ae_gate_group loud = total_above(self, mean * k_range_gate, &first);
    const double last = (double)(loud.count - 1);
    return ranked_lufs(self, first, llround(last * 0.95)) -
           ranked_lufs(self, first, llround(last * 0.10));
}
