#include "ae_suppressor.h"

#include "ae_comfort_noise.h"
#include "ae_echo_stage.h"
#include "ae_hum.h"
#include "ae_math.h"
#include "ae_net_stage.h"
#include "ae_noise_stage.h"
#include "ae_stft.h"

static const float k_window_hops = 3.2f; /* 32 ms: keeps the harmonics of a voice apart */
static const float k_meter_ms = 300.0f, k_hop_ms = 10.0f;
/* Hum is taken out without the sound around it, so it may go far where noise may not: that far down
 * from a limit of k_hum_full_from_db on, and 1/8 further than noise above 20 dB. */
static const float k_hum_db = 22.5f, k_hum_full_from_db = 0.5f, k_hum_depth = 1.125f;
/* How far the noise stage turns noise down where a net goes on, and where none does. */
static const float k_before_net_db = 10.0f, k_most_attenuation_db = 40.0f;

enum { k_most_tier = 2, k_measured_hops = 4 };

struct ae_suppressor {
    ae_suppressor_config config; /* as created */
    int hop, bins;
    float power_scale; /* |X|^2 to the power of white noise, mean over channels */
    ae_stft *stft[AE_MAX_CHANNELS];
    float *re[AE_MAX_CHANNELS], *im[AE_MAX_CHANNELS]; /* [bins] */
    ae_hum *hum;
    ae_echo_stage *echo; /* NULL without the echo stage, as is comfort */
    ae_noise_stage *noise;
    ae_comfort_noise *comfort;
    ae_net_stage *nets;                                /* NULL without any */
    float *power, *gain, *echo_gain, *taken, *scratch; /* [bins] */
    float *net_gain, *echo_power, *far_power;          /* [bins]; for the nets alone */
    int wanted_tier, held_tier;                        /* as set; the most that time allows */
    float unaided_limit_db;                            /* as set */
    float near_end_presence;                           /* for the report */
    int unmeasured_hops;                               /* since net_kept was measured */
    float net_share;           /* 0 .. 1: how far the learned stage is faded in */
    float echo_kept, net_kept; /* smoothed power ratios behind the report */
};

ae_suppressor_config ae_suppressor_default_config(int sample_rate_hz)
{
    return (ae_suppressor_config){.sample_rate_hz = sample_rate_hz,
                                  .channels = 1,
                                  .noise = 1,
                                  .attenuation_limit_db = 20.0f,
                                  .unaided_limit_db = k_most_attenuation_db,
                                  .dereverb = 1.0f,
                                  .transients = 1,
                                  .net_hears_far_end = 1};
}

/* The noise stage checks its own parameters. */
static int config_is_valid(const ae_suppressor_config *config)
{
    return config->sample_rate_hz >= AE_MIN_RATE_HZ && config->sample_rate_hz <= AE_MAX_RATE_HZ &&
           config->channels >= 1 && config->first_channel >= 0 &&
           config->first_channel <= AE_MAX_CHANNELS - config->channels &&
           (config->echo == 0 || config->echo == 1) && (config->noise == 0 || config->noise == 1) &&
           config->tier >= 0 && config->tier <= k_most_tier &&
           (config->net_hears_far_end == 0 || config->net_hears_far_end == 1) &&
           config->unaided_limit_db >= 0.0f && config->unaided_limit_db <= k_most_attenuation_db;
}

static int has_models(const ae_suppressor_config *config)
{
    return config->noise && (config->small_model != NULL || config->large_model != NULL);
}

static ae_suppressor *lay_out(ae_arena *arena, const ae_suppressor *shape)
{
    ae_suppressor *self = AE_TAKE(arena, 1, ae_suppressor);
    ae_suppressor filled = *shape;
    float **planes[] = {&filled.power,   &filled.gain,     &filled.echo_gain,  &filled.taken,
                        &filled.scratch, &filled.net_gain, &filled.echo_power, &filled.far_power};
    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++)
        *planes[i] = AE_TAKE(arena, shape->bins, float);
    for (int c = 0; c < shape->config.channels; c++) {
        filled.re[c] = AE_TAKE(arena, shape->bins, float);
        filled.im[c] = AE_TAKE(arena, shape->bins, float);
    }
    if (self == NULL) return NULL;
    *self = filled;
    return self;
}

static void destroy_parts(ae_suppressor *self)
{
    for (int c = 0; c < AE_MAX_CHANNELS; c++) ae_stft_destroy(self->stft[c]);
    ae_hum_destroy(self->hum);
    ae_echo_stage_destroy(self->echo);
    ae_noise_stage_destroy(self->noise);
    ae_comfort_noise_destroy(self->comfort);
    ae_net_stage_destroy(self->nets);
}

static ae_status create_channels(ae_suppressor *shape)
{
    const ae_stft_config stft = {shape->hop, (int)(k_window_hops * (float)shape->hop + 0.5f)};
    ae_status status = AE_OK;
    for (int c = 0; c < shape->config.channels && status == AE_OK; c++)
        status = ae_stft_create(&shape->stft[c], &stft);
    if (status != AE_OK) return status;
    shape->bins = ae_stft_bins(shape->stft[0]);
    shape->power_scale =
        1.0f / (ae_stft_window_power(shape->stft[0]) * (float)shape->config.channels);
    return AE_OK;
}

static ae_status create_echo_parts(ae_suppressor *shape)
{
    const ae_echo_stage_config echo = {shape->config.sample_rate_hz, shape->config.channels,
                                       shape->hop, ae_stft_window_frames(shape->stft[0])};
    const ae_comfort_noise_config comfort = {shape->bins, k_hop_ms};
    const ae_status status = ae_echo_stage_create(&shape->echo, &echo);
    return status == AE_OK ? ae_comfort_noise_create(&shape->comfort, &comfort) : status;
}

static ae_status create_nets(ae_suppressor *shape)
{
    const ae_suppressor_config *config = &shape->config;
    const ae_net_stage_config nets = {.sample_rate_hz = config->sample_rate_hz,
                                      .channels = config->channels,
                                      .hop_frames = shape->hop,
                                      .fft_size = ae_stft_fft_size(shape->stft[0]),
                                      .power_scale = shape->power_scale,
                                      .small_model = config->small_model,
                                      .large_model = config->large_model,
                                      .tier = config->tier};
    return ae_net_stage_create(&shape->nets, &nets);
}

static ae_status create_parts(ae_suppressor *shape)
{
    const ae_suppressor_config *config = &shape->config;
    ae_status status = create_channels(shape);
    if (status != AE_OK) return status;
    const ae_stft *stft = shape->stft[0];
    const ae_hum_config hum = {.bins = shape->bins,
                               .fft_size = ae_stft_fft_size(stft),
                               .channels = config->channels,
                               .sample_rate_hz = config->sample_rate_hz,
                               .hop_frames = shape->hop,
                               .window = ae_stft_window(stft),
                               .window_frames = ae_stft_window_frames(stft)};
    const ae_noise_stage_config noise = {.sample_rate_hz = config->sample_rate_hz,
                                         .channels = config->channels,
                                         .hop_frames = shape->hop,
                                         .fft_size = ae_stft_fft_size(stft),
                                         .power_scale = shape->power_scale,
                                         .suppress = config->noise,
                                         .attenuation_limit_db = config->attenuation_limit_db,
                                         .dereverb = config->dereverb,
                                         .transients = config->transients,
                                         .music_guard = config->music_guard};
    status = ae_hum_create(&shape->hum, &hum);
    if (status == AE_OK) status = ae_noise_stage_create(&shape->noise, &noise);
    if (status == AE_OK && config->echo) status = create_echo_parts(shape);
    if (status == AE_OK && has_models(config)) status = create_nets(shape);
    return status;
}

ae_status ae_suppressor_create(ae_suppressor **out, const ae_suppressor_config *config)
{
    *out = NULL;
    if (!config_is_valid(config)) return AE_ERROR_ARGUMENT;
    ae_suppressor shape = {.config = *config,
                           .hop = ae_block_frames(config->sample_rate_hz),
                           .unaided_limit_db = config->unaided_limit_db,
                           .wanted_tier = config->tier,
                           .held_tier = k_most_tier};
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
    ae_suppressor_reset(*out);
    return AE_OK;
}

void ae_suppressor_destroy(ae_suppressor *self)
{
    if (self == NULL) return;
    destroy_parts(self);
    ae_free(self);
}

/* The more of the net is in, the less the noise stage does. */
static void share_with_net(ae_suppressor *self)
{
    ae_net_stage_report net = {0};
    if (self->nets != NULL) ae_net_stage_read(self->nets, &net);
    self->net_share = net.share;
    const float own_limit_db =
        self->unaided_limit_db + net.share * (k_before_net_db - self->unaided_limit_db);
    ae_noise_stage_set_own_limit_db(self->noise, own_limit_db);
}

void ae_suppressor_reset(ae_suppressor *self)
{
    for (int c = 0; c < self->config.channels; c++) ae_stft_reset(self->stft[c]);
    ae_hum_reset(self->hum);
    if (self->nets != NULL) ae_net_stage_reset(self->nets);
    share_with_net(self);
    ae_noise_stage_reset(self->noise);
    if (self->config.echo) {
        ae_echo_stage_reset(self->echo);
        ae_comfort_noise_reset(self->comfort);
    }
    self->near_end_presence = self->echo_kept = self->net_kept = 1.0f;
    self->unmeasured_hops = 0;
}

int ae_suppressor_latency_frames(const ae_suppressor *self) { return self->hop; }

void ae_suppressor_set_attenuation_limit_db(ae_suppressor *self, float attenuation_limit_db)
{
    ae_noise_stage_set_attenuation_limit_db(self->noise, attenuation_limit_db);
}

void ae_suppressor_set_unaided_limit_db(ae_suppressor *self, float unaided_limit_db)
{
    if (unaided_limit_db != unaided_limit_db) return;
    self->unaided_limit_db = ae_clamp(unaided_limit_db, 0.0f, k_most_attenuation_db);
    share_with_net(self);
}

void ae_suppressor_set_dereverb(ae_suppressor *self, float dereverb)
{
    ae_noise_stage_set_dereverb(self->noise, dereverb);
}

void ae_suppressor_set_transients(ae_suppressor *self, int transients)
{
    ae_noise_stage_set_transients(self->noise, transients);
}

void ae_suppressor_set_music_guard(ae_suppressor *self, int music_guard)
{
    ae_noise_stage_set_music_guard(self->noise, music_guard);
}

void ae_suppressor_set_tier(ae_suppressor *self, int tier)
{
    self->wanted_tier = tier;
    if (self->nets == NULL) return;
    ae_net_stage_set_tier(self->nets, tier < self->held_tier ? tier : self->held_tier);
}

void ae_suppressor_hold_tier(ae_suppressor *self, int most)
{
    self->held_tier = most;
    ae_suppressor_set_tier(self, self->wanted_tier);
}

int ae_suppressor_tier_within(const ae_suppressor *self, int most)
{
    const void *models[] = {self, self->config.small_model, self->config.large_model};
    int tier = self->nets == NULL ? 0 : ae_clamp_int(self->wanted_tier, 0, most);
    while (models[tier] == NULL) tier--;
    return tier;
}

void ae_suppressor_read(const ae_suppressor *self, ae_suppressor_report *out)
{
    ae_noise_stage_report noise;
    ae_net_stage_report net = {0};
    ae_noise_stage_read(self->noise, &noise);
    if (self->nets != NULL) ae_net_stage_read(self->nets, &net);
    const float net_db = ae_max(-ae_db_from_power(self->net_kept), 0.0f);
    const float speech = noise.speech_probability;
    *out = (ae_suppressor_report){
        .noise_level_dbfs = noise.level_dbfs,
        .noise_reduction_db = noise.reduction_db + net_db,
        .echo_reduction_db = ae_max(-ae_db_from_power(self->echo_kept), 0.0f),
        .speech_probability = speech + net.share * (net.speech_probability - speech),
        .reverb_time_s = noise.reverb_time_s,
        .hum_hz = ae_hum_hz(self->hum),
        .music = noise.music,
        .transient_count = noise.transient_count,
        .near_end_presence = self->near_end_presence,
        .tier = net.tier,
        .net_share = net.share,
    };
}

/* Mean power over the channels of the newest hop. */
static void measure_power(ae_suppressor *self)
{
    const int bins = self->bins;
    const float scale = self->power_scale;
    float *restrict power = self->power;
    ae_zero(power, bins);
    for (int c = 0; c < self->config.channels; c++) {
        const float *restrict re = self->re[c], *restrict im = self->im[c];
#pragma omp simd
        for (int k = 0; k < bins; k++) power[k] += scale * (re[k] * re[k] + im[k] * im[k]);
    }
}

/* After measure_power: the share of the power that the echo gain and the filter's last learning
 * step take. */
static const float *find_echo_share(ae_suppressor *self)
{
    const float *restrict power = self->power, *restrict gain = self->echo_gain;
    const float scale = self->power_scale;
    float *restrict share = self->scratch, *restrict taken = self->taken;
#pragma omp simd
    for (int k = 0; k < self->bins; k++) {
        taken[k] *= scale;
        share[k] = 1.0f - gain[k] * gain[k] * power[k] / (power[k] + taken[k] + 1e-20f);
    }
    return share;
}

/* Some of it stays, so that the room keeps its sound; with no attenuation all of it is back. */
static void restore_hum(ae_suppressor *self)
{
    const float attenuation_db = ae_noise_stage_attenuation_db(self->noise);
    const float full = ae_min(attenuation_db / k_hum_full_from_db, 1.0f);
    const float down_db = ae_max(full * k_hum_db, k_hum_depth * attenuation_db);
    ae_hum_restore(self->hum, ae_amplitude_from_db(-down_db), self->re, self->im);
}

/* Noise gain times echo gain. Where the learned stage goes on, only half the echo gain's decibels:
 * near end that it takes away in double talk never comes back, and the net hears the far end too.
 * The nets were trained behind it; training/front.c runs this code. */
static void join_gains(ae_suppressor *self, const ae_echo_view *const *echo)
{
    float *restrict gain = self->gain;
    const float *restrict echo_gain = self->echo_gain;
    float share = self->config.net_hears_far_end ? self->net_share : 0.0f;
    for (int c = 0; c < self->config.channels; c++)
        if (echo[c]->unheard) share = 0.0f; /* a guess that only the stage can make */
#pragma omp simd
    for (int k = 0; k < self->bins; k++)
        gain[k] *= echo_gain[k] + share * (sqrtf(echo_gain[k]) - echo_gain[k]);
}

static void apply_gain(ae_suppressor *self)
{
    for (int c = 0; c < self->config.channels; c++) {
        float *restrict re = self->re[c], *restrict im = self->im[c];
        const float *restrict gain = self->gain;
#pragma omp simd
        for (int k = 0; k < self->bins; k++) {
            re[k] *= gain[k];
            im[k] *= gain[k];
        }
    }
}

/* What the net's gain takes off the noise that the classical gain has left. Every fourth hop is
 * enough for a mean over 300 ms. */
static void measure_net(ae_suppressor *self)
{
    if (++self->unmeasured_hops < k_measured_hops) return;
    self->unmeasured_hops = 0;
    float *restrict noise = self->scratch;
    const float *restrict gain = self->gain, *restrict net_gain = self->net_gain;
    float before = 1e-20f, after = 1e-20f;
    ae_noise_stage_power(self->noise, noise);
#pragma omp simd reduction(+ : before, after)
    for (int k = 0; k < self->bins; k++) {
        const float left = noise[k] * gain[k] * gain[k];
        before += left;
        after += left * net_gain[k] * net_gain[k];
    }
    const float step_ms = (float)k_measured_hops * k_hop_ms;
    self->net_kept += ae_one_pole(k_meter_ms, step_ms) * (after / before - self->net_kept);
}

/* gain: becomes that of all stages together. */
static void run_nets(ae_suppressor *self, int has_echo)
{
    ae_net_stage_hop hop = {.re = self->re,
                            .im = self->im,
                            .power = self->power,
                            .gain = self->gain,
                            .music = ae_noise_stage_music(self->noise)};
    if (has_echo) hop.echo_gain = self->echo_gain;
    if (has_echo && self->config.net_hears_far_end) {
        ae_echo_stage_powers(self->echo, self->power_scale, self->echo_power, self->far_power);
        hop.echo_power = self->echo_power;
        hop.far_power = self->far_power;
    }
    ae_net_stage_process(self->nets, &hop, ae_noise_stage_attenuation_db(self->noise),
                         self->net_gain);
    share_with_net(self);
    measure_net(self);
    for (int k = 0; k < self->bins; k++) self->gain[k] *= self->net_gain[k];
}

/* gain: noise, echo and net gain together. What the echo filter has taken of the noise in this hop
 * is missing as well. Overwrites power and gain, which are not used after this. */
static void add_comfort_noise(ae_suppressor *self)
{
    const float least_gain = ae_amplitude_from_db(-ae_noise_stage_attenuation_db(self->noise));
    float *restrict amplitude = self->scratch;
    float *restrict power = self->power, *restrict gain = self->gain;
    const float *restrict taken = self->taken;
#pragma omp simd
    for (int k = 0; k < self->bins; k++) {
        const float before = power[k] + taken[k];
        gain[k] *= sqrtf(power[k] / (before + 1e-20f));
        power[k] = before;
    }
    ae_noise_stage_power(self->noise, amplitude);
    ae_comfort_noise_track(self->comfort, power, amplitude);
    if (!ae_comfort_noise_missing(self->comfort, gain, least_gain, amplitude)) return;
    const float expected = self->power_scale * (float)self->config.channels;
    const float scale = 1.0f / sqrtf(expected * ae_stft_random_power(self->stft[0]));
#pragma omp simd
    for (int k = 0; k < self->bins; k++) amplitude[k] *= scale;
    for (int c = 0; c < self->config.channels; c++)
        ae_comfort_noise_add(self->comfort, self->config.first_channel + c, amplitude, self->re[c],
                             self->im[c]);
}

static void measure_echo(ae_suppressor *self, int has_echo)
{
    float kept = 1.0f;
    if (has_echo) {
        const float *restrict power = self->power, *restrict gain = self->echo_gain;
        float before = 1e-20f, after = 1e-20f;
#pragma omp simd reduction(+ : before, after)
        for (int k = 0; k < self->bins; k++) {
            before += power[k];
            after += power[k] * gain[k] * gain[k];
        }
        kept = after / before;
    }
    self->echo_kept += ae_one_pole(k_meter_ms, k_hop_ms) * (kept - self->echo_kept);
    self->near_end_presence = has_echo ? ae_echo_stage_near_end_presence(self->echo) : 1.0f;
}

void ae_suppressor_process(ae_suppressor *self, const float *const *in,
                           const ae_echo_view *const *echo, float *const *out)
{
    const int has_echo = echo != NULL && self->config.echo;
    ae_noise_hop hop = {.samples = in, .re = self->re, .im = self->im, .power = self->power};
    for (int c = 0; c < self->config.channels; c++)
        ae_stft_analyse(self->stft[c], in[c], self->re[c], self->im[c]);
    if (self->config.noise) ae_hum_remove(self->hum, self->re, self->im);
    if (has_echo)
        ae_echo_stage_update(self->echo, echo, self->re, self->im, self->echo_gain, self->taken);
    measure_power(self);
    measure_echo(self, has_echo);
    hop.near_end_presence = self->near_end_presence;
    if (has_echo) {
        hop.echo_gain = self->echo_gain;
        hop.echo_share = find_echo_share(self);
    }
    ae_noise_stage_update(self->noise, &hop, self->gain);
    if (has_echo) join_gains(self, echo);
    apply_gain(self);
    if (ae_hum_hz(self->hum) > 0.0f) restore_hum(self);
    if (self->nets != NULL) run_nets(self, has_echo);
    if (has_echo) add_comfort_noise(self);
    for (int c = 0; c < self->config.channels; c++)
        ae_stft_synthesise(self->stft[c], self->re[c], self->im[c], out[c]);
}
