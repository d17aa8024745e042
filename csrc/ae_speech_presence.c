#include "ae_speech_presence.h"

#include "ae_vector_math.h"

enum { k_features = k_ae_presence_bands + 1 };

const float k_ae_presence_edges_hz[k_ae_presence_bands + 1] = {100.0f,  300.0f,  700.0f, 1500.0f,
                                                               3000.0f, 4000.0f, 8000.0f};

/* Per feature: log2 of the prior SNR in bands 0 .. 5 (-6 .. 10), then the pitch peak's height.
 * Logistic regression with balanced classes on 83 mixtures of 10 s: 23 talkers in 6 languages, 8
 * kinds of noise, -5 .. 20 dB, and noise alone. */
static const float k_weights[k_features] = {0.337f, 0.102f, 0.0f, 0.0f, 0.0f, 0.209f, 7.648f};
static const float k_bias = -1.189f;
static const float k_log2_least = -6.0f, k_log2_most = 10.0f;
static const float k_up_ms = 19.6f, k_down_ms = 94.9f; /* 0.4 and 0.1 per 10 ms */

struct ae_speech_presence {
    ae_speech_presence_config config;
    float up, down;
    float smoothed[k_features];
    int frames;
};

ae_status ae_speech_presence_create(ae_speech_presence **out,
                                    const ae_speech_presence_config *config)
{
    *out = NULL;
    if (!(config->hop_ms >= 1.0f && config->hop_ms <= 100.0f) || config->band_edges[0] < 0 ||
        config->band_edges[1] <= config->band_edges[0])
        return AE_ERROR_ARGUMENT;
    for (int b = 0; b < k_ae_presence_bands; b++)
        if (config->band_edges[b + 1] < config->band_edges[b]) return AE_ERROR_ARGUMENT;
    ae_speech_presence *self = ae_allocate(sizeof(ae_speech_presence));
    if (self == NULL) return AE_ERROR_MEMORY;
    self->config = *config;
    self->up = ae_one_pole(k_up_ms, config->hop_ms);
    self->down = ae_one_pole(k_down_ms, config->hop_ms);
    *out = self;
    return AE_OK;
}

void ae_speech_presence_destroy(ae_speech_presence *self) { ae_free(self); }

void ae_speech_presence_reset(ae_speech_presence *self)
{
    ae_zero(self->smoothed, k_features);
    self->frames = 0;
}

static float band_log2(const float *prior_snr, int first, int last)
{
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int k = first; k < last; k++)
        sum += ae_clamp(ae_log2(ae_max(prior_snr[k], 1e-6f)), k_log2_least, k_log2_most);
    return sum / (float)(last - first);
}

float ae_speech_presence_update(ae_speech_presence *self, const float *prior_snr,
                                float pitch_strength)
{
    float features[k_features];
    const int *edges = self->config.band_edges;
    for (int b = 0; b < k_ae_presence_bands; b++)
        features[b] = edges[b + 1] > edges[b] ? band_log2(prior_snr, edges[b], edges[b + 1])
                                              : features[b - 1];
    features[k_ae_presence_bands] = ae_clamp(pitch_strength, 0.0f, 2.0f);
    float sum = k_bias;
    for (int i = 0; i < k_features; i++) {
        const float change = features[i] - self->smoothed[i];
        const float rate = self->frames == 0 ? 1.0f : change > 0.0f ? self->up : self->down;
        self->smoothed[i] += rate * change;
        sum += k_weights[i] * self->smoothed[i];
    }
    self->frames = 1;
    return 1.0f / (1.0f + expf(-sum));
}
