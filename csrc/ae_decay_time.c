#include "ae_decay_time.h"

#include "ae_math.h"

enum {
    k_slope_bins = 128,
    k_most_fall_frames = 12,
};

static const float k_fall_ms = 60.0f;
static const float k_slope_bin_db_per_s = 6.0f;
static const float k_slopes_least = 25.0f, k_slopes_kept = 120.0f;
static const float k_start_below_peak_db = 28.0f, k_end_above_noise_db = 8.0f;
static const float k_peak_fall_db_per_s = 3.0f;
/* T60 = factor * 60 / slope + offset: speech through 58 rooms of 0.25 .. 1.1 s, 46 of them made
 * and 12 measured, 20 % standard deviation. */
static const float k_percentile = 0.7f;
static const float k_decay_factor = 0.854f, k_decay_offset_s = 0.098f;
static const float k_slope_least_db_per_s = 20.0f;

typedef struct {
    float levels[2];                     /* dB, newest first, of the hops before */
    float means[k_most_fall_frames + 1]; /* 3-hop means, newest first */
    float peak_db;
    int falling; /* hops in a row */
} band;

struct ae_decay_time {
    int bands, fall_frames;
    float hop_ms, decay_s;
    band band[k_ae_decay_max_bands];
    float slopes[k_slope_bins]; /* histogram, forgetting */
    float slope_count;
};

ae_status ae_decay_time_create(ae_decay_time **out, const ae_decay_time_config *config)
{
    *out = NULL;
    if (config->bands < 1 || config->bands > k_ae_decay_max_bands ||
        !(config->hop_ms >= 5.0f && config->hop_ms <= 20.0f))
        return AE_ERROR_ARGUMENT;
    ae_decay_time *self = ae_allocate(sizeof *self);
    if (self == NULL) return AE_ERROR_MEMORY;
    self->bands = config->bands;
    self->hop_ms = config->hop_ms;
    self->fall_frames = (int)(k_fall_ms / config->hop_ms + 0.5f);
    ae_decay_time_reset(self);
    *out = self;
    return AE_OK;
}

void ae_decay_time_destroy(ae_decay_time *self) { ae_free(self); }
float ae_decay_time_s(const ae_decay_time *self) { return self->decay_s; }

void ae_decay_time_reset(ae_decay_time *self)
{
    self->decay_s = self->slope_count = 0.0f;
    ae_zero(self->slopes, k_slope_bins);
    for (int b = 0; b < k_ae_decay_max_bands; b++) {
        band *now = &self->band[b];
        *now = (band){.levels = {-200.0f, -200.0f}, .peak_db = -200.0f};
        ae_fill(now->means, -200.0f, k_most_fall_frames + 1);
    }
}

static void estimate(ae_decay_time *self)
{
    if (self->slope_count < k_slopes_least) return;
    const float wanted = k_percentile * self->slope_count;
    float seen = 0.0f, slope = 0.0f;
    for (int i = 0; i < k_slope_bins; i++) {
        const float next = seen + self->slopes[i];
        if (next >= wanted) {
            const float part = (wanted - seen) / self->slopes[i];
            slope = ((float)i + part) * k_slope_bin_db_per_s;
            break;
        }
        seen = next;
    }
    const float measured_s = 60.0f / ae_max(slope, k_slope_least_db_per_s);
    self->decay_s = k_decay_factor * measured_s + k_decay_offset_s;
}

static void note_slope(ae_decay_time *self, float slope_db_per_s)
{
    if (self->slope_count >= k_slopes_kept) {
        const float keep = 1.0f - 1.0f / k_slopes_kept;
        for (int i = 0; i < k_slope_bins; i++) self->slopes[i] *= keep;
        self->slope_count *= keep;
    }
    const int at = ae_clamp_int((int)(slope_db_per_s / k_slope_bin_db_per_s), 0, k_slope_bins - 1);
    self->slopes[at] += 1.0f;
    self->slope_count += 1.0f;
    estimate(self);
}

static void watch(ae_decay_time *self, band *now, float level_db, float noise_db)
{
    const int frames = self->fall_frames;
    const float mean = (level_db + now->levels[0] + now->levels[1]) * (1.0f / 3.0f);
    now->levels[1] = now->levels[0];
    now->levels[0] = level_db;
    now->falling = mean < now->means[0] ? now->falling + 1 : 0;
    for (int i = frames; i > 0; i--) now->means[i] = now->means[i - 1];
    now->means[0] = mean;
    now->peak_db = ae_max(now->peak_db - k_peak_fall_db_per_s * 0.001f * self->hop_ms, mean);
    const float start_db = now->means[frames];
    if (now->falling < frames || start_db < now->peak_db - k_start_below_peak_db ||
        mean < noise_db + k_end_above_noise_db)
        return;
    note_slope(self, (start_db - mean) / (0.001f * self->hop_ms * (float)frames));
}

void ae_decay_time_update(ae_decay_time *self, const float *level_db, const float *noise_db)
{
    for (int b = 0; b < self->bands; b++) watch(self, &self->band[b], level_db[b], noise_db[b]);
}
