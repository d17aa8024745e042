#include "ae_speech_gain.h"

#include "ae_vector_math.h"

enum {
    k_max_points = 65536,
    k_table_first = -12, /* log2 v of the first table entry; below, the curve is a straight line */
    k_table_octaves = 18,
    k_table_per_octave = 8,
    k_table_size = k_table_octaves * k_table_per_octave + 2,
};

static const float k_decision_ms = 396.0f;  /* 0.98 per 8 ms hop */
static const float k_prior_least = 0.0251f; /* -16 dB */

struct ae_speech_gain {
    int points;
    float decision;                   /* weight of the last frame's speech power */
    float *speech_power;              /* [points] of the last frame */
    float half_e1_log2[k_table_size]; /* 0.5 E1(v) / ln 2 over log2 v */
};

/* Exponential integral E1: series below 1, Lentz's continued fraction above (Abramowitz & Stegun
 * 5.1.11, 5.1.22). */
static double exponential_integral(double v)
{
    if (v < 1.0) {
        double term = 1.0, sum = -0.57721566490153286 - log(v);
        for (int n = 1; n < 30; n++) {
            term *= -v / n;
            sum -= term / n;
        }
        return sum;
    }
    double fraction = 0.0;
    for (int n = 60; n >= 1; n--) fraction = n / (1.0 + n / (v + fraction));
    return exp(-v) / (v + fraction);
}

ae_status ae_speech_gain_create(ae_speech_gain **out, const ae_speech_gain_config *config)
{
    *out = NULL;
    if (config->points < 1 || config->points > k_max_points ||
        !(config->hop_ms >= 1.0f && config->hop_ms <= 100.0f))
        return AE_ERROR_ARGUMENT;
    ae_arena arena = {0};
    AE_TAKE(&arena, 1, ae_speech_gain);
    AE_TAKE(&arena, config->points, float);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    ae_speech_gain *self = AE_TAKE(&arena, 1, ae_speech_gain);
    self->speech_power = AE_TAKE(&arena, config->points, float);
    self->points = config->points;
    self->decision = expf(-config->hop_ms / k_decision_ms);
    for (int i = 0; i < k_table_size; i++) {
        const double v = exp2(k_table_first + (double)i / k_table_per_octave);
        self->half_e1_log2[i] = (float)(0.5 * exponential_integral(v) / log(2.0));
    }
    *out = self;
    return AE_OK;
}

void ae_speech_gain_destroy(ae_speech_gain *self) { ae_free(self); }
void ae_speech_gain_reset(ae_speech_gain *self) { ae_zero(self->speech_power, self->points); }

static inline float lsa_log2(const float *table, float prior_snr, float v)
{
    const float at = (ae_log2(fmaxf(v, 1e-30f)) - (float)k_table_first) * (float)k_table_per_octave;
    const float held = ae_clamp(at, 0.0f, (float)(k_table_size - 2));
    const int low = (int)held;
    const float slope = table[low + 1] - table[low];
    const float half_e1 = table[low] + slope * (fminf(at, held) - (float)low);
    return ae_log2(prior_snr / (1.0f + prior_snr)) + half_e1;
}

float ae_speech_gain_lsa_log2(const ae_speech_gain *self, float prior_snr, float v)
{
    return lsa_log2(self->half_e1_log2, prior_snr, v);
}

void ae_speech_gain_update(ae_speech_gain *self, const float *power, const float *interference,
                           float least_log2, float *gain_log2)
{
    const int points = self->points;
    const float decision = self->decision;
    const float *table = self->half_e1_log2;
    float *restrict speech = self->speech_power;
    for (int k = 0; k < points; k++) {
        const float inverse = 1.0f / interference[k];
        const float posterior = fminf(power[k] * inverse, 1e6f);
        const float innovation = fmaxf(posterior - 1.0f, 0.0f);
        const float prior =
            fmaxf(decision * fminf(speech[k] * inverse, 1e6f) + (1.0f - decision) * innovation,
                  k_prior_least);
        const float gain = fminf(lsa_log2(table, prior, prior / (1.0f + prior) * posterior), 0.0f);
        speech[k] = ae_exp2(2.0f * gain) * power[k];
        gain_log2[k] = fmaxf(gain, least_log2);
    }
}
