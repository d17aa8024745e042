#include "ae_rumble.h"

#include "ae_math.h"

enum { k_max_points = 65536 };

static const float k_pitch_height = 0.2f; /* as in ae_cepstral_snr: a clear peak */
static const float k_pitch_share = 0.7f, k_voiced_most_hz = 150.0f, k_unvoiced_hz = 120.0f;
static const float k_rise_hz = 10.0f;     /* per hop: a pitch that is lost for a hop does no harm */
static const float k_hop_share = 0.03f;   /* of the hop's own power: pops count from -40 dBFS on */
static const float k_silent_db = -55.0f;  /* rumble at this level stays as it is, */
static const float k_audible_db = -45.0f; /* and goes entirely at this one */

struct ae_rumble {
    ae_rumble_config config;
    int low_points; /* those below k_unvoiced_hz: where rumble is measured */
    float edge_hz;
};

ae_status ae_rumble_create(ae_rumble **out, const ae_rumble_config *config)
{
    *out = NULL;
    if (config->points < 1 || config->points > k_max_points || !(config->bin_hz > 0.0f) ||
        config->bins < 1)
        return AE_ERROR_ARGUMENT;
    ae_rumble *self = ae_allocate(sizeof(ae_rumble));
    if (self == NULL) return AE_ERROR_MEMORY;
    self->config = *config;
    self->low_points = ae_clamp_int(1 + (int)(k_unvoiced_hz / config->bin_hz), 1, config->points);
    *out = self;
    return AE_OK;
}

void ae_rumble_destroy(ae_rumble *self) { ae_free(self); }
void ae_rumble_reset(ae_rumble *self) { self->edge_hz = 0.0f; }
float ae_rumble_edge_hz(const ae_rumble *self) { return self->edge_hz; }

/* 0 (too soft to hear) .. 1. */
static float audible_share(const ae_rumble *self, const float *power, const float *noise)
{
    float estimate = 0.0f, now = 0.0f;
    for (int k = 0; k < self->low_points; k++) {
        estimate += noise[k];
        now += power[k];
    }
    const float level = ae_max(estimate, k_hop_share * now) / (float)self->config.bins;
    return ae_clamp((ae_db_from_power(level) - k_silent_db) / (k_audible_db - k_silent_db), 0.0f,
                    1.0f);
}

void ae_rumble_suppress(ae_rumble *self, const float *power, const float *noise, float pitch_hz,
                        float pitch_strength, float least_log2, float *gain_log2)
{
    const int voiced = pitch_strength > k_pitch_height;
    const float edge_hz =
        voiced ? ae_min(k_pitch_share * pitch_hz, k_voiced_most_hz) : k_unvoiced_hz;
    self->edge_hz = ae_min(self->edge_hz + k_rise_hz, edge_hz);
    const float bin_hz = self->config.bin_hz, share = audible_share(self, power, noise);
    for (int k = 0; k < self->config.points; k++) {
        const float below = (self->edge_hz - (float)k * bin_hz) / bin_hz;
        if (below <= 0.0f) return;
        gain_log2[k] += share * ae_min(below, 1.0f) * (least_log2 - gain_log2[k]);
    }
}
