#include "ae_net_stage.h"

#include "ae_mask_net.h"
#include "ae_math.h"
#include "ae_vector_math.h"

/* The features, as training/README.md says and training/spectrum.py has them. */
static const float k_rise = 0.05f, k_fall = 0.005f; /* of the level: 0.2 s up, 2 s down */
static const float k_least_level = 1e-9f;           /* of that mean power: -90 dB */
static const float k_least_ratio = 1e-7f;           /* 70 dB below the level nothing is heard */
static const float k_feature_shift = 3.0f, k_feature_span = 2.0f, k_log10_of_2 = 0.30103f;
/* Mean power of the bins that no sound within 15 dB of full scale has: such a hop is not heard. The
 * level falls slowly, and would stay deaf for a minute after one. */
static const float k_most_level = 1.0f;
static const float k_most_ratio = 1e12f;
static const float k_high_edges_hz[] = {8000.0f, 10000.0f, 12500.0f, 16000.0f, 20000.0f};
static const float k_high_widths[] = {64.0f, 80.0f, 112.0f, 128.0f}; /* in bins of 31.25 Hz */

/* The nets do better with deep silence: the limits from 30 to 40 dB become those from 30 to 60. */
static const float k_deep_from_db = 30.0f, k_deep_slope = 3.0f;
static const float k_filters_from_db = 10.0f; /* from this limit on the filters work in full */

/* In hops. A net is heard 0.3 s after it began, when its states have settled. */
static const int k_settling_hops = 30;
static const float k_fade_in = 0.1f, k_fade_out = 0.2f;

enum {
    k_tiers = 3,
    k_points = AE_MASK_NET_POINTS,
    k_singles = AE_MASK_NET_SINGLES,
    k_taps = AE_MASK_NET_TAPS,
    k_high = 4,
    k_low = k_points - k_high,
    k_low_bins = 256, /* to 8 kHz */
    k_late = k_taps - 1
};

/* What the filters need of a channel. */
typedef struct {
    float re[k_late][k_singles], im[k_late][k_singles]; /* of the hops before, newest first */
} past;

struct ae_net_stage {
    ae_net_stage_config config;
    int bins;
    float scale;           /* sum over channels of |X|^2 to what the nets hear */
    float amplitude_scale; /* sum over channels of X to the same */
    float aside_scale;     /* power to the same */
    float turns_per_bin;   /* how far the phase goes on in a hop: hop over FFT size */
    int low_edges[k_low + 1], high_edges[k_high + 1];
    ae_mask_net *net[k_tiers]; /* [0]: NULL */
    int tier, wanted_tier;     /* that run; that shall */
    int heard_hops;            /* since this net began, to k_settling_hops */
    float share, speech;
    float music; /* as the hops say, ramped */
    float level; /* 0: nothing was heard yet */
    float turn_re[k_late][k_singles], turn_im[k_late][k_singles];
    past *past;   /* [channels] */
    float *power; /* [bins], at least k_low_bins */
    float heard[k_points], aside[AE_MASK_NET_ASIDE][k_points];
    float mid_re[k_singles], mid_im[k_singles];
    ae_mask_net_answer answer;
};

static int config_is_valid(const ae_net_stage_config *config)
{
    return config->sample_rate_hz >= AE_MIN_RATE_HZ && config->sample_rate_hz <= AE_MAX_RATE_HZ &&
           config->channels >= 1 && config->channels <= AE_MAX_CHANNELS &&
           config->hop_frames >= 1 && config->fft_size / 2 + 1 > k_singles &&
           config->power_scale > 0.0f && config->power_scale <= 1.0f && config->tier >= 0 &&
           config->tier < k_tiers;
}

/* First bin of each point: singles, then by four to 4 kHz, then by eight. */
static void find_edges(ae_net_stage *shape)
{
    int bin = 0;
    for (int p = 0; p <= k_low; p++) {
        shape->low_edges[p] = bin;
        bin += bin < k_singles ? 1 : bin < k_low_bins / 2 ? 4 : 8;
    }
    const float bin_hz = (float)shape->config.sample_rate_hz / (float)shape->config.fft_size;
    for (int b = 0; b <= k_high; b++)
        shape->high_edges[b] = (int)(k_high_edges_hz[b] / bin_hz + 0.5f);
}

static ae_net_stage *lay_out(ae_arena *arena, const ae_net_stage *shape)
{
    ae_net_stage *self = AE_TAKE(arena, 1, ae_net_stage);
    past *held = AE_TAKE(arena, shape->config.channels, past);
    float *power = AE_TAKE(arena, shape->bins + k_low_bins, float);
    if (self == NULL) return NULL;
    *self = *shape;
    self->past = held;
    self->power = power;
    return self;
}

static void destroy_parts(ae_net_stage *self)
{
    for (int n = 0; n < k_tiers; n++) ae_mask_net_destroy(self->net[n]);
}

static ae_status create_parts(ae_net_stage *shape)
{
    const ae_net_model *models[k_tiers] = {NULL, shape->config.small_model,
                                           shape->config.large_model};
    ae_status status = AE_OK;
    for (int n = 1; n < k_tiers && status == AE_OK; n++)
        if (models[n] != NULL)
            status = ae_mask_net_create(&shape->net[n], models[n], shape->turns_per_bin);
    return status;
}

ae_status ae_net_stage_create(ae_net_stage **out, const ae_net_stage_config *config)
{
    *out = NULL;
    if (!config_is_valid(config)) return AE_ERROR_ARGUMENT;
    ae_net_stage shape = {.config = *config, .bins = config->fft_size / 2 + 1};
    const float hop = (float)config->hop_frames, channels = (float)config->channels;
    shape.scale = 1.0f / (hop * hop * channels);
    shape.amplitude_scale = 1.0f / (hop * channels);
    shape.aside_scale = shape.scale / config->power_scale;
    shape.turns_per_bin = hop / (float)config->fft_size;
    find_edges(&shape);
    for (int n = 0; n < k_late; n++)
        ae_mask_net_turns(shape.turns_per_bin, n + 1, shape.turn_re[n], shape.turn_im[n]);
    ae_status status = create_parts(&shape);
    ae_arena arena = {0};
    if (status == AE_OK) {
        lay_out(&arena, &shape);
        arena.base = ae_allocate(arena.used);
        if (arena.base == NULL) status = AE_ERROR_MEMORY;
    }
    if (status != AE_OK) {
        destroy_parts(&shape);
        return status;
    }
    arena.used = 0;
    *out = lay_out(&arena, &shape);
    ae_net_stage_set_tier(*out, config->tier);
    ae_net_stage_reset(*out);
    return AE_OK;
}

void ae_net_stage_destroy(ae_net_stage *self)
{
    if (self == NULL) return;
    destroy_parts(self);
    ae_free(self);
}

/* The wanted tier's net, with no memory. */
static void begin(ae_net_stage *self)
{
    self->tier = self->wanted_tier;
    self->heard_hops = 0;
    self->share = self->speech = self->level = 0.0f;
    if (self->tier > 0) ae_mask_net_reset(self->net[self->tier]);
    for (int c = 0; c < self->config.channels; c++) self->past[c] = (past){0};
}

void ae_net_stage_reset(ae_net_stage *self)
{
    begin(self);
    self->heard_hops = k_settling_hops;
    self->share = self->tier > 0 ? 1.0f : 0.0f;
    self->music = 0.0f;
}

void ae_net_stage_set_tier(ae_net_stage *self, int tier)
{
    int held = ae_clamp_int(tier, 0, k_tiers - 1);
    while (held > 0 && self->net[held] == NULL) held--;
    self->wanted_tier = held;
}

static float share_heard(const ae_net_stage *self) { return self->share * (1.0f - self->music); }

void ae_net_stage_read(const ae_net_stage *self, ae_net_stage_report *out)
{
    *out = (ae_net_stage_report){self->tier, share_heard(self), self->speech};
}

static void follow_music(ae_net_stage *self, float music)
{
    const float step = music - self->music;
    self->music += ae_clamp(step, -k_fade_in, k_fade_in);
}

static void step_share(ae_net_stage *self)
{
    if (self->tier != self->wanted_tier) {
        self->share -= k_fade_out;
        if (self->tier == 0 || self->share <= 0.0f) begin(self);
    } else if (self->tier == 0) {
        self->share = 0.0f;
    } else if (self->heard_hops < k_settling_hops) {
        self->heard_hops++;
    } else {
        self->share = ae_min(self->share + k_fade_in, 1.0f);
    }
}

/* Power of the spectra that are left, and the mean of the single bins. Returns the mean power. */
static float listen(ae_net_stage *self, const ae_net_stage_hop *hop)
{
    const int bins = self->bins, heard_bins = bins < k_low_bins ? bins : k_low_bins;
    const float scale = self->scale, amplitude = self->amplitude_scale;
    float *restrict power = self->power, *restrict mid_re = self->mid_re;
    float *restrict mid_im = self->mid_im;
    ae_zero(power, bins);
    ae_zero(mid_re, k_singles);
    ae_zero(mid_im, k_singles);
    for (int c = 0; c < self->config.channels; c++) {
        const float *restrict re = hop->re[c], *restrict im = hop->im[c];
#pragma omp simd
        for (int k = 0; k < bins; k++) power[k] += scale * (re[k] * re[k] + im[k] * im[k]);
        for (int k = 0; k < k_singles; k++) {
            mid_re[k] += amplitude * re[k];
            mid_im[k] += amplitude * im[k];
        }
    }
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int k = 0; k < heard_bins; k++) sum += power[k];
    return sum / (float)k_low_bins;
}

static void follow_level(ae_net_stage *self, float mean)
{
    const float power = ae_max(mean, k_least_level);
    if (self->level == 0.0f) self->level = power;
    const float step = power - self->level;
    self->level += (step > 0.0f ? k_rise : k_fall) * step;
}

static float sum_of(const float *power, int begin, int end)
{
    float sum = 0.0f;
    for (int k = begin; k < end; k++) sum += power[k];
    return sum;
}

/* power: [bins]; what lies beyond a rate has none. scale: to the spectra's. */
static void find_features(const ae_net_stage *self, const float *restrict power, float scale,
                          float *restrict features)
{
    const float over = scale / self->level;
    for (int p = 0; p < k_low; p++) {
        const int first = self->low_edges[p], width = self->low_edges[p + 1] - first;
        const int end = first + width < self->bins ? first + width : self->bins;
        features[p] = over / (float)width * sum_of(power, first, end);
    }
    for (int b = 0; b < k_high; b++) {
        const int reached = self->high_edges[b + 1] < self->bins;
        const float sum =
            reached ? sum_of(power, self->high_edges[b], self->high_edges[b + 1]) : 0.0f;
        features[k_low + b] = over / k_high_widths[b] * sum;
    }
#pragma omp simd
    for (int p = 0; p < k_points; p++) {
        const float ratio = ae_min(ae_max(features[p], 0.0f), k_most_ratio) + k_least_ratio;
        features[p] = (k_log10_of_2 * ae_log2(ratio) + k_feature_shift) / k_feature_span;
    }
}

static void ask(ae_net_stage *self, const ae_net_stage_hop *hop)
{
    ae_mask_net_hop heard = {.heard = self->heard, .re = self->mid_re, .im = self->mid_im};
    const float *aside[AE_MASK_NET_ASIDE] = {hop->power, hop->echo_power, hop->far_power};
    find_features(self, self->power, 1.0f, self->heard);
    for (int a = 0; a < AE_MASK_NET_ASIDE; a++) {
        if (aside[a] == NULL) continue;
        find_features(self, aside[a], self->aside_scale, self->aside[a]);
        heard.aside[a] = self->aside[a];
    }
    ae_mask_net_process(self->net[self->tier], &heard, &self->answer);
    self->speech = self->answer.speech;
}

/* The net's gain of each bin; the last point reached goes on to the end. */
static void spread(const ae_net_stage *self, float *gain)
{
    const float *points = self->answer.gain;
    for (int p = 0; p < k_low && self->low_edges[p] < self->bins; p++) {
        const int end = self->low_edges[p + 1] < self->bins ? self->low_edges[p + 1] : self->bins;
        ae_fill(gain + self->low_edges[p], points[p], end - self->low_edges[p]);
    }
    if (self->bins <= k_low_bins) return;
    ae_fill(gain + k_low_bins, points[k_low - 1], self->bins - k_low_bins);
    for (int b = 0; b < k_high && self->high_edges[b + 1] < self->bins; b++)
        ae_fill(gain + self->high_edges[b], points[k_low + b], self->bins - self->high_edges[b]);
}

/* gain: held where it would go below the limit together with the classical one. */
static void hold(const ae_net_stage_hop *hop, float attenuation_db, int bins, float *restrict gain)
{
    const float deep_db = k_deep_slope * ae_max(attenuation_db - k_deep_from_db, 0.0f);
    const float least = ae_amplitude_from_db(-(ae_min(attenuation_db, k_deep_from_db) + deep_db));
    const float *restrict classical = hop->gain, *restrict echo = hop->echo_gain;
#pragma omp simd
    for (int k = 0; k < bins; k++) {
        const float floor = least * (echo != NULL ? echo[k] : 1.0f);
        gain[k] = ae_max(gain[k], ae_min(floor / ae_max(classical[k], 1e-6f), 1.0f));
    }
}

/* One channel's single bins: x + share (gain (x + depth (its filters)) - x). */
static void filter(ae_net_stage *self, int channel, float *restrict re, float *restrict im,
                   const float *restrict gain, float depth)
{
    const float share = share_heard(self);
    const ae_mask_net_answer *answer = &self->answer;
    past *restrict held = &self->past[channel];
    float now_re[k_singles], now_im[k_singles], sum_re[k_singles], sum_im[k_singles];
    ae_copy(now_re, re, k_singles);
    ae_copy(now_im, im, k_singles);
#pragma omp simd
    for (int k = 0; k < k_singles; k++) {
        const float c = answer->tap_re[k], s = answer->tap_im[k];
        sum_re[k] = c * now_re[k] - s * now_im[k];
        sum_im[k] = c * now_im[k] + s * now_re[k];
    }
    for (int n = 0; n < k_late; n++) {
        const float *restrict c = answer->tap_re + (n + 1) * k_singles;
        const float *restrict s = answer->tap_im + (n + 1) * k_singles;
#pragma omp simd
        for (int k = 0; k < k_singles; k++) {
            const float late_re =
                held->re[n][k] * self->turn_re[n][k] - held->im[n][k] * self->turn_im[n][k];
            const float late_im =
                held->re[n][k] * self->turn_im[n][k] + held->im[n][k] * self->turn_re[n][k];
            sum_re[k] += c[k] * late_re - s[k] * late_im;
            sum_im[k] += c[k] * late_im + s[k] * late_re;
        }
    }
#pragma omp simd
    for (int k = 0; k < k_singles; k++) {
        re[k] = now_re[k] + share * (gain[k] * (now_re[k] + depth * sum_re[k]) - now_re[k]);
        im[k] = now_im[k] + share * (gain[k] * (now_im[k] + depth * sum_im[k]) - now_im[k]);
    }
    for (int n = k_late - 1; n > 0; n--) {
        ae_copy(held->re[n], held->re[n - 1], k_singles);
        ae_copy(held->im[n], held->im[n - 1], k_singles);
    }
    ae_copy(held->re[0], now_re, k_singles);
    ae_copy(held->im[0], now_im, k_singles);
}

static void apply(ae_net_stage *self, const ae_net_stage_hop *hop, float attenuation_db,
                  float *restrict gain)
{
    const float share = share_heard(self);
    const float depth = ae_min(attenuation_db / k_filters_from_db, 1.0f);
    for (int c = 0; c < self->config.channels; c++)
        filter(self, c, hop->re[c], hop->im[c], gain, depth);
#pragma omp simd
    for (int k = 0; k < self->bins; k++) gain[k] = 1.0f + share * (gain[k] - 1.0f);
    for (int c = 0; c < self->config.channels; c++) {
        float *restrict re = hop->re[c], *restrict im = hop->im[c];
#pragma omp simd
        for (int k = k_singles; k < self->bins; k++) {
            re[k] *= gain[k];
            im[k] *= gain[k];
        }
    }
}

void ae_net_stage_process(ae_net_stage *self, const ae_net_stage_hop *hop, float attenuation_db,
                          float *gain)
{
    ae_fill(gain, 1.0f, self->bins);
    step_share(self);
    follow_music(self, hop->music);
    if (self->tier == 0) return;
    const float mean = listen(self, hop);
    if (!(mean <= k_most_level)) { /* or not a number: no sound, and none that may be learned */
        for (int c = 0; c < self->config.channels; c++) self->past[c] = (past){0};
        return;
    }
    follow_level(self, mean);
    ask(self, hop);
    spread(self, gain);
    hold(hop, attenuation_db, self->bins, gain);
    apply(self, hop, attenuation_db, gain);
}
