#include "ae_balance.h"

#include <math.h>
#include <string.h>

#include "ae_kweight.h"
#include "ae_math.h"

static const int k_window_blocks = 10;      /* 100 ms */
static const int k_young_windows = 10;      /* 1 s */
static const double k_absolute_gate = 1e-6; /* -60.7 LUFS: a room, not a programme */
static const double k_relative_gate = 0.1;  /* -10 LU, BS.1770-5 */
static const double k_new_sound = 10.0;   /* and as far over the mean: the song after the ballad */
static const int k_low_windows = 30;      /* 3 s: no verse, a softer song */
static const float k_far_over_db = 1.0f;  /* the slow mean sees to it that a chorus is not this */
static const float k_dead_band_db = 0.1f; /* closer to the target, the gain stands still */
static const float k_nothing_lufs = -200.0f;

void ae_balance_init(ae_balance *self, const ae_balance_config *config)
{
    self->config = *config;
    ae_balance_reset(self);
}

void ae_balance_reset(ae_balance *self)
{
    const ae_balance_config config = self->config;
    memset(self, 0, sizeof *self);
    self->config = config;
    self->gain_db = config.start_db;
}

static void end_window(ae_balance *self)
{
    const double power = self->window_sum / k_window_blocks;
    self->window_sum = 0.0;
    self->window_blocks = 0;
    if (power < k_absolute_gate) return;
    self->low_windows = power < k_relative_gate * self->power ? self->low_windows + 1 : 0;
    if (power > k_new_sound * self->power || self->low_windows >= k_low_windows) {
        self->power = 0.0;
        self->windows = self->young_windows = self->low_windows = 0;
    }
    if (self->low_windows > 0) return;
    if (self->windows < self->config.memory_windows) self->windows++;
    if (self->young_windows < k_young_windows) self->young_windows++;
    self->power += (power - self->power) / self->windows;
}

void ae_balance_update(ae_balance *self, double mean_square, float target_lufs)
{
    if (isfinite(mean_square)) self->window_sum += mean_square;
    if (++self->window_blocks == k_window_blocks) end_window(self);
    if (self->windows == 0) return;
    const float wanted_db = ae_clamp(target_lufs - ae_balance_loudness_lufs(self),
                                     self->config.least_db, self->config.most_db);
    const float off_db = wanted_db - self->gain_db;
    if (fabsf(off_db) < k_dead_band_db) return;
    const int quick = self->young_windows < k_young_windows || off_db < -k_far_over_db;
    const float step_db = quick ? self->config.young_step_db : self->config.step_db;
    self->gain_db += ae_clamp(off_db, -step_db, step_db);
}

float ae_balance_loudness_lufs(const ae_balance *self)
{
    return self->windows > 0 ? (float)ae_lufs_from_mean_square(self->power) : k_nothing_lufs;
}
