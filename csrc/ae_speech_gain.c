#include "ae_speech_gain.h"

#include "ae_vector_math.h"

enum {
    k_max_points = 65536,
    k_table_first = -12, /* log2 v of the first table entry; below, the curve is a straight line */
    k_table_octaves = 18,
    k_table_per_octave = 8,
    k_table_size = k_table_octaves * k_table_per_octave + 2,
    k_local_reach = 1,  /* 3 points */
    k_global_reach = 7, /* 15 points */
};

/* 0.98 per 8 ms hop is 396 ms: beside the cepstral estimate less is enough against musical noise,
 * and weak speech comes through. */
static const float k_decision_ms = 250.0f;
static const float k_prior_least = 0.0251f; /* -16 dB; -25 dB gave more musical noise */
static const float k_posterior_most = 1e6f;
static const float k_smooth_snr_ms = 28.0f; /* Cohen's beta 0.7 per 10 ms */
static const float k_local_low_db = -10.0f, k_local_span_db = 7.0f;
static const float k_frame_low_db = -8.0f, k_frame_span_db = 8.0f;
static const float k_absence_most = 0.98f;

struct ae_speech_gain {
    int points, hint_points;
    float decision; /* weight of the last frame's speech power */
    float smooth_rate;
    float *speech_power;              /* [points] of the last frame */
    float *prior, *v, *smooth, *mean; /* [points] */
    float *present;                   /* [points] a priori presence */
    float half_e1_log2[k_table_size]; /* 0.5 E1(v) / ln 2 over log2 v */
};

/* Exponential integral E1: series below 1, continued fraction above (Abramowitz & Stegun 5.1.11,
 * 5.1.22). */
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

static ae_speech_gain *lay_out(ae_arena *arena, const ae_speech_gain_config *config)
{
    ae_speech_gain *self = AE_TAKE(arena, 1, ae_speech_gain);
    float *planes[6];
    for (int i = 0; i < 6; i++) planes[i] = AE_TAKE(arena, config->points, float);
    if (self == NULL) return NULL;
    *self = (ae_speech_gain){.points = config->points,
                             .hint_points = config->hint_points,
                             .decision = expf(-config->hop_ms / k_decision_ms),
                             .smooth_rate = ae_one_pole(k_smooth_snr_ms, config->hop_ms),
                             .speech_power = planes[0],
                             .prior = planes[1],
                             .v = planes[2],
                             .smooth = planes[3],
                             .mean = planes[4],
                             .present = planes[5]};
    for (int i = 0; i < k_table_size; i++) {
        const double v = exp2(k_table_first + (double)i / k_table_per_octave);
        self->half_e1_log2[i] = (float)(0.5 * exponential_integral(v) / log(2.0));
    }
    return self;
}

ae_status ae_speech_gain_create(ae_speech_gain **out, const ae_speech_gain_config *config)
{
    *out = NULL;
    if (config->points < 16 || config->points > k_max_points || config->hint_points < 0 ||
        config->hint_points > config->points ||
        !(config->hop_ms >= 1.0f && config->hop_ms <= 100.0f))
        return AE_ERROR_ARGUMENT;
    ae_arena arena = {0};
    lay_out(&arena, config);
    arena.base = ae_allocate(arena.used);
    if (arena.base == NULL) return AE_ERROR_MEMORY;
    arena.used = 0;
    *out = lay_out(&arena, config);
    return AE_OK;
}

void ae_speech_gain_destroy(ae_speech_gain *self) { ae_free(self); }

void ae_speech_gain_reset(ae_speech_gain *self)
{
    ae_zero(self->speech_power, self->points);
    ae_zero(self->prior, self->points);
    ae_zero(self->smooth, self->points);
}

const float *ae_speech_gain_prior_snr(const ae_speech_gain *self) { return self->prior; }

/* Position of v in the table. */
static inline float table_position(float v)
{
    return (ae_log2(ae_max(v, 1e-30f)) - (float)k_table_first) * (float)k_table_per_octave;
}

/* Between two entries, and before the first on the line of the first two. */
static inline float look_up(const float *table, float position)
{
    const float held = ae_clamp(position, 0.0f, (float)(k_table_size - 2));
    const int low = (int)held;
    return table[low] + (table[low + 1] - table[low]) * (ae_min(position, held) - (float)low);
}

static inline float wiener_log2(float prior_snr) { return ae_log2(prior_snr / (1.0f + prior_snr)); }

float ae_speech_gain_lsa_log2(const ae_speech_gain *self, float prior_snr, float v)
{
    return wiener_log2(prior_snr) + look_up(self->half_e1_log2, table_position(v));
}

static void find_prior(ae_speech_gain *self, const float *power, const float *interference,
                       const float *prior_hint)
{
    const int points = self->points, hint_points = self->hint_points;
    const float decision = self->decision;
    float *restrict prior = self->prior, *restrict v = self->v;
    const float *restrict speech = self->speech_power;
#pragma omp simd
    for (int k = 0; k < points; k++) {
        const float inverse = 1.0f / interference[k];
        const float posterior = ae_min(power[k] * inverse, k_posterior_most);
        const float before = ae_min(speech[k] * inverse, k_posterior_most);
        prior[k] = decision * before + (1.0f - decision) * ae_max(posterior - 1.0f, 0.0f);
        v[k] = posterior;
    }
#pragma omp simd
    for (int k = 0; k < hint_points; k++) prior[k] = sqrtf(prior[k] * prior_hint[k]);
#pragma omp simd
    for (int k = 0; k < points; k++) {
        prior[k] = ae_clamp(prior[k], k_prior_least, k_posterior_most);
        v[k] *= prior[k] / (1.0f + prior[k]);
    }
}

static inline float share(float snr, float low_db, float span_db)
{
    const float db = 3.01029996f * ae_log2(ae_max(snr, 1e-9f));
    return ae_clamp((db - low_db) / span_db, 0.0f, 1.0f);
}

/* A priori speech presence from the smoothed SNR: local x global x frame (Cohen 2002, eq. 23). */
static void find_presence(ae_speech_gain *self)
{
    const int points = self->points;
    float *restrict smooth = self->smooth, *restrict present = self->present;
    float *restrict mean = self->mean;
    float total = 0.0f;
#pragma omp simd reduction(+ : total)
    for (int k = 0; k < points; k++) {
        smooth[k] += self->smooth_rate * (ae_min(self->prior[k], 1000.0f) - smooth[k]);
        total += smooth[k];
    }
    const float frame = share(total / (float)points, k_frame_low_db, k_frame_span_db);
    ae_moving_mean(smooth, mean, points, k_local_reach);
#pragma omp simd
    for (int k = 0; k < points; k++)
        present[k] = frame * share(mean[k], k_local_low_db, k_local_span_db);
    ae_moving_mean(smooth, mean, points, k_global_reach);
#pragma omp simd
    for (int k = 0; k < points; k++) present[k] *= share(mean[k], k_local_low_db, k_local_span_db);
}

/* Into mean. The table keeps the loop of all the rest from being vectorised, so it has its own. */
static void find_half_e1(ae_speech_gain *self)
{
    const int points = self->points;
    float *restrict half_e1 = self->mean;
    const float *restrict v = self->v;
#pragma omp simd
    for (int k = 0; k < points; k++) half_e1[k] = table_position(v[k]);
    for (int k = 0; k < points; k++) half_e1[k] = look_up(self->half_e1_log2, half_e1[k]);
}

void ae_speech_gain_update(ae_speech_gain *self, const float *power, const float *interference,
                           const float *prior_hint, float least_log2, float *gain_log2)
{
    const int points = self->points;
    find_prior(self, power, interference, prior_hint);
    find_presence(self);
    find_half_e1(self);
    const float *restrict prior = self->prior, *restrict v = self->v;
    const float *restrict present = self->present, *restrict half_e1 = self->mean;
    float *restrict speech = self->speech_power, *restrict gains = gain_log2;
#pragma omp simd
    for (int k = 0; k < points; k++) {
        const float gain = ae_min(wiener_log2(prior[k]) + half_e1[k], 0.0f);
        speech[k] = ae_exp2(2.0f * gain) * power[k];
        const float absent = ae_min(1.0f - present[k], k_absence_most);
        const float odds = absent / (1.0f - absent) * (1.0f + prior[k]);
        const float probability =
            1.0f / (1.0f + odds * ae_exp2(-k_ae_log2_of_e * ae_min(v[k], 80.0f)));
        gains[k] = least_log2 + probability * (ae_max(gain, least_log2) - least_log2);
    }
}
