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
    self->spreads = AE_TAKE(arena, k_bins, double);
    self->counts = AE_TAKE(arena, k_bins, uint32_t);
}

void ae_loudness_gate_reset(ae_loudness_gate *self)
{
    memset(self->sums, 0, k_bins * sizeof *self->sums);
    memset(self->spreads, 0, k_bins * sizeof *self->spreads);
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

/* Mean square in the middle of a bin. */
static double centre_of(int bin)
{
    return ae_mean_square_from_lufs(k_absolute_gate_lufs + (bin + 0.5) / AE_GATE_GROUP_BINS);
}

void ae_loudness_gate_add(ae_loudness_gate *self, double mean_square)
{
    const int bin = bin_of(mean_square);
    if (bin < 0 || self->counts[bin] == UINT32_MAX) return;
    ae_gate_group *group = &self->groups[bin / AE_GATE_GROUP_BINS];
    const double offset = mean_square / centre_of(bin) - 1.0;
    self->sums[bin] += mean_square;
    self->spreads[bin] += offset * offset;
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
        self->spreads[b] += other->spreads[b];
        self->counts[b] += other->counts[b];
        self->groups[b / AE_GATE_GROUP_BINS].sum += other->sums[b];
        self->groups[b / AE_GATE_GROUP_BINS].count += other->counts[b];
    }
}

typedef struct {
    double sum;   /* energies of the blocks above the gate */
    double count; /* their number, with a part of the bin on the gate */
    int first;    /* that bin */
    double below; /* how many of its blocks lie below the gate */
} gated;

/* Part of a bin's blocks above a mean square: all, none, or the upper end of an even spread. */
static gated divided_bin(const ae_loudness_gate *self, int bin, double gate)
{
    gated part = {.first = bin};
    const double count = self->counts[bin];
    if (count == 0.0) return part;
    const double mean = self->sums[bin] / count, centre = centre_of(bin);
    const double offset = mean / centre - 1.0;
    const double variance = fmax(0.0, self->spreads[bin] / count - offset * offset);
    const double reach = sqrt(3.0 * variance) * centre; /* of an even spread, to either side */
    const double above = mean + reach - gate;
    double share = above > 0.0 ? 1.0 : 0.0;
    if (above > 0.0 && above < 2.0 * reach) share = above / (2.0 * reach);
    part.count = share * count;
    part.sum = share < 1.0 ? part.count * 0.5 * (gate + mean + reach) : self->sums[bin];
    part.below = count - part.count;
    return part;
}

/* The blocks above a mean square. */
static gated total_above(const ae_loudness_gate *self, double gate)
{
    const int on_gate = bin_of(gate);
    int bin = on_gate < 0 ? 0 : on_gate + 1;
    gated total = on_gate < 0 ? (gated){0} : divided_bin(self, on_gate, gate);
    for (; bin < k_bins && bin % AE_GATE_GROUP_BINS != 0; bin++) {
        total.sum += self->sums[bin];
        total.count += self->counts[bin];
    }
    for (int g = bin / AE_GATE_GROUP_BINS; g < AE_GATE_GROUPS; g++) {
        total.sum += self->groups[g].sum;
        total.count += (double)self->groups[g].count;
    }
    return total;
}

double ae_loudness_gate_mean_lufs(const ae_loudness_gate *self)
{
    const gated all = total_above(self, 0.0);
    if (all.count == 0.0) return -HUGE_VAL;
    const gated loud = total_above(self, all.sum / all.count * k_mean_gate);
    return ae_lufs_from_mean_square(loud.sum / loud.count);
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
    const gated all = total_above(self, 0.0);
    if (all.count == 0.0) return 0.0;
    const gated loud = total_above(self, all.sum / all.count * k_range_gate);
    const int64_t below = llround(loud.below);
    const double last = (double)llround(loud.below + loud.count) - (double)below - 1.0;
    return ranked_lufs(self, loud.first, below + llround(last * 0.95)) -
           ranked_lufs(self, loud.first, below + llround(last * 0.10));
}
