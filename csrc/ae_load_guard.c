#include "ae_load_guard.h"

#include "ae_math.h"

#include <string.h>

enum {
    k_deepest_level = AE_SHED_SUPPRESSOR,
    k_least_over = 2, /* blocks: one alone is a stall of the machine */
};

static const double k_window_s = 1.0;
static const double k_calm_s = 10.0;
static const double k_over = 0.70; /* of the block: the rest is for the host and its jitter */
static const double k_calm = 0.35; /* half of that: stepping up must not bring it back at once */
static const double k_over_share = 0.01; /* p99 */

void ae_load_guard_open(ae_load_guard *self, double block_s)
{
    const int level = self->report.shed_level, idle_levels = self->idle_levels;
    memset(self, 0, sizeof *self);
    self->report.block_us = (float)(1e6 * block_s);
    self->report.shed_level = level;
    self->idle_levels = idle_levels;
}

static int step(ae_load_guard *self, int by)
{
    int level = self->report.shed_level + by;
    while (level > 0 && level <= k_deepest_level && (self->idle_levels >> level & 1)) level += by;
    self->window_blocks = self->window_over = self->calm_blocks = 0;
    if (level < 0 || level > k_deepest_level) return 0;
    self->report.shed_level = level;
    return 1;
}

int ae_load_guard_update(ae_load_guard *self, double busy_s)
{
    const double block_s = 1e-6 * (double)self->report.block_us;
    const double share = busy_s / block_s;
    const int bin = share < 1.0 ? (int)(share * AE_LOAD_BINS) : AE_LOAD_BINS;
    self->bins[bin < 0 ? 0 : bin]++;
    self->count++;
    self->report.max_us = ae_max(self->report.max_us, (float)(1e6 * busy_s));

    const int window = (int)(k_window_s / block_s + 0.5);
    self->calm_blocks = share < k_calm ? self->calm_blocks + 1 : 0;
    self->window_over += share > k_over;
    if (++self->window_blocks >= window) {
        if (self->window_over >= k_least_over && self->window_over > k_over_share * window)
            return step(self, 1);
        self->window_blocks = self->window_over = 0;
    }
    return self->calm_blocks * block_s > k_calm_s ? step(self, -1) : 0;
}

static float percentile_us(const ae_load_guard *self, double share)
{
    int64_t below = 0;
    int bin = 0;
    while (bin < AE_LOAD_BINS && below + self->bins[bin] < share * (double)self->count)
        below += self->bins[bin++];
    return ((float)bin + 0.5f) / AE_LOAD_BINS * self->report.block_us;
}

void ae_load_guard_measure(ae_load_guard *self)
{
    if (self->count == 0) return;
    self->report.p50_us = ae_min(percentile_us(self, 0.50), self->report.max_us);
    self->report.p99_us = ae_min(percentile_us(self, 0.99), self->report.max_us);
}
