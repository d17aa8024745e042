#include "ae_noise_stage.h"

#include "ae_cepstral_snr.h"
#include "ae_late_reverb.h"
#include "ae_music_guard.h"
#include "ae_musical_noise.h"
#include "ae_noise_psd.h"
#include "ae_rumble.h"
#include "ae_spectral_points.h"
#include "ae_speech_gain.h"
#include "ae_speech_presence.h"
#include "ae_transients.h"
#include "ae_vector_math.h"

static const float k_most_attenuation_db = 40.0f;
static const float k_ramp_ms = 30.0f, k_meter_ms = 300.0f, k_hop_ms = 10.0f;
static const float k_music_limit_db = 6.0f;
static const float k_stroke_depth = 3.0f; /* a stroke stands so much higher than noise, in dB */
/* Where more than half of the power was strokes, what is left is hardly speech: typing on its own
 * had passed for it in every second hop. */
static const float k_speech_left = 0.5f, k_strokeless_ms = 100.0f;
/* From this share on a point's residual echo is said to be all there is. */
static const float k_most_taken = 0.33f, k_all_echo = 1e20f;
static const float k_sure_absence = 0.05f; /* speech probability below which noise is learned */
/* What is left of echo that was taken away counts as noise up to -20 dB of it. */
static const float k_echo_left = 0.01f;
static const float k_some_near_end = 0.05f; /* presence from which on a near end passes whole */
static const float k_decay_edges_hz[k_ae_reverb_bands + 1] = {200.0f, 500.0f, 1200.0f, 2500.0f,
                                                              5000.0f};

struct ae_noise_stage {
    ae_noise_stage_config config; /* the parameters as last set */
    int bins, point_count;
    float own_limit_db;   /* as set */
    float attenuation_db; /* the limit, ramped */
    float own_db;         /* what of it the gain does itself, ramped */
    ae_spectral_points *points;
    ae_transients *transients;
    ae_music_guard *music;
    ae_late_reverb *reverb;
    ae_noise_psd *noise;
    ae_cepstral_snr *cepstral;
    ae_speech_presence *speech_presence;
    ae_speech_gain *speech_gain;
    ae_musical_noise *musical;
    ae_rumble *rumble;
    float *power, *residual, *interference, *prior_hint, *gain, *stroke_gain; /* [points] */
    ae_noise_stage_report report;
    float speech;     /* probability, strokes or not: what the gain and the noise go by */
    float strokeless; /* 1 .. 0 (the hop was little else), back within 100 ms */
    float kept;       /* smoothed power ratio behind report.reduction_db */
};

static int config_is_valid(const ae_noise_stage_config *config)
{
    return config->channels >= 1 && config->channels <= AE_MAX_CHANNELS &&
           config->power_scale > 0.0f && config->power_scale <= 1.0f &&
           (config->suppress == 0 || config->suppress == 1) &&
           config->attenuation_limit_db >= 0.0f &&
           config->attenuation_limit_db <= k_most_attenuation_db && config->dereverb >= 0.0f &&
           config->dereverb <= 1.0f && (config->transients == 0 || config->transients == 1) &&
           (config->music_guard == 0 || config->music_guard == 1);
}

static void destroy_parts(ae_noise_stage *self)
{
    ae_spectral_points_destroy(self->points);
    ae_transients_destroy(self->transients);
    ae_music_guard_destroy(self->music);
    ae_late_reverb_destroy(self->reverb);
    ae_noise_psd_destroy(self->noise);
    ae_cepstral_snr_destroy(self->cepstral);
    ae_speech_presence_destroy(self->speech_presence);
    ae_speech_gain_destroy(self->speech_gain);
    ae_musical_noise_destroy(self->musical);
    ae_rumble_destroy(self->rumble);
}

static ae_status create_points(ae_noise_stage *shape)
{
    const ae_spectral_points_config points = {shape->config.sample_rate_hz, shape->config.fft_size};
    const ae_status status = ae_spectral_points_create(&shape->points, &points);
    if (status == AE_OK) shape->point_count = ae_spectral_points_count(shape->points);
    shape->bins = shape->config.fft_size / 2 + 1;
    return status;
}

/* What says how much of the power is not the voice. */
static ae_status create_noise_parts(ae_noise_stage *shape)
{
    const int points = shape->point_count, kept = ae_spectral_points_bins_kept(shape->points);
    const float bin_hz = ae_spectral_points_bin_hz(shape->points);
    const ae_transients_config transients = {shape->config.sample_rate_hz, shape->config.hop_frames,
                                             points, bin_hz};
    const ae_music_guard_config music = {kept, bin_hz, k_hop_ms};
    const ae_noise_psd_config noise = {points, k_hop_ms};
    ae_late_reverb_config reverb = {.points = points, .hop_ms = k_hop_ms};
    for (int b = 0; b <= k_ae_reverb_bands; b++)
        reverb.band_edges[b] = ae_spectral_points_at(shape->points, k_decay_edges_hz[b]);
    ae_status status = ae_transients_create(&shape->transients, &transients);
    if (status == AE_OK) status = ae_music_guard_create(&shape->music, &music);
    if (status == AE_OK) status = ae_late_reverb_create(&shape->reverb, &reverb);
    return status == AE_OK ? ae_noise_psd_create(&shape->noise, &noise) : status;
}

/* What finds the voice and the gain that keeps it. */
static ae_status create_speech_parts(ae_noise_stage *shape)
{
    const int points = shape->point_count, kept = ae_spectral_points_bins_kept(shape->points);
    const float bin_hz = ae_spectral_points_bin_hz(shape->points);
    const ae_cepstral_snr_config cepstral = {kept, bin_hz, k_hop_ms};
    const ae_speech_features_config presence = {kept, bin_hz, k_hop_ms};
    const ae_speech_gain_config speech = {points, kept, k_hop_ms};
    const ae_musical_noise_config musical = {points};
    const ae_rumble_config rumble = {kept, bin_hz, shape->bins};
    ae_status status = ae_cepstral_snr_create(&shape->cepstral, &cepstral);
    if (status == AE_OK) status = ae_speech_presence_create(&shape->speech_presence, &presence);
    if (status == AE_OK) status = ae_speech_gain_create(&shape->speech_gain, &speech);
    if (status == AE_OK) status = ae_musical_noise_create(&shape->musical, &musical);
    return status == AE_OK ? ae_rumble_create(&shape->rumble, &rumble) : status;
}

static ae_noise_stage *lay_out(ae_arena *arena, const ae_noise_stage *shape)
{
    ae_noise_stage *self = AE_TAKE(arena, 1, ae_noise_stage);
    ae_noise_stage filled = *shape;
    float **planes[] = {&filled.power,      &filled.residual, &filled.interference,
                        &filled.prior_hint, &filled.gain,     &filled.stroke_gain};
    for (size_t i = 0; i < sizeof planes / sizeof *planes; i++)
        *planes[i] = AE_TAKE(arena, shape->point_count, float);
    if (self == NULL) return NULL;
    *self = filled;
    return self;
}

ae_status ae_noise_stage_create(ae_noise_stage **out, const ae_noise_stage_config *config)
{
    *out = NULL;
    if (!config_is_valid(config)) return AE_ERROR_ARGUMENT;
    ae_noise_stage shape = {.config = *config, .own_limit_db = k_most_attenuation_db};
    ae_status status = create_points(&shape);
    if (status == AE_OK) status = create_noise_parts(&shape);
    if (status == AE_OK) status = create_speech_parts(&shape);
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
    ae_noise_stage_reset(*out);
    return AE_OK;
}

void ae_noise_stage_destroy(ae_noise_stage *self)
{
    if (self == NULL) return;
    destroy_parts(self);
    ae_free(self);
}

void ae_noise_stage_reset(ae_noise_stage *self)
{
    ae_transients_reset(self->transients);
    ae_music_guard_reset(self->music);
    ae_late_reverb_reset(self->reverb);
    ae_noise_psd_reset(self->noise);
    ae_cepstral_snr_reset(self->cepstral);
    ae_speech_presence_reset(self->speech_presence);
    ae_speech_gain_reset(self->speech_gain);
    ae_rumble_reset(self->rumble);
    self->attenuation_db = self->config.suppress ? self->config.attenuation_limit_db : 0.0f;
    self->own_db = ae_min(self->attenuation_db, self->own_limit_db);
    self->speech = 0.0f;
    self->strokeless = self->kept = 1.0f;
    self->report = (ae_noise_stage_report){.level_dbfs = -120.0f};
}

void ae_noise_stage_set_attenuation_limit_db(ae_noise_stage *self, float attenuation_limit_db)
{
    if (attenuation_limit_db != attenuation_limit_db) return;
    self->config.attenuation_limit_db = ae_clamp(attenuation_limit_db, 0.0f, k_most_attenuation_db);
}

void ae_noise_stage_set_own_limit_db(ae_noise_stage *self, float own_limit_db)
{
    self->own_limit_db = own_limit_db;
}

void ae_noise_stage_set_dereverb(ae_noise_stage *self, float dereverb)
{
    if (dereverb != dereverb) return;
    self->config.dereverb = ae_clamp(dereverb, 0.0f, 1.0f);
}

void ae_noise_stage_set_transients(ae_noise_stage *self, int transients)
{
    self->config.transients = transients != 0;
}

void ae_noise_stage_set_music_guard(ae_noise_stage *self, int music_guard)
{
    self->config.music_guard = music_guard != 0;
    if (!music_guard) ae_music_guard_reset(self->music);
}

void ae_noise_stage_power(const ae_noise_stage *self, float *power)
{
    ae_spectral_points_spread(self->points, ae_noise_psd_power(self->noise), power);
}

float ae_noise_stage_attenuation_db(const ae_noise_stage *self) { return self->attenuation_db; }

float ae_noise_stage_music(const ae_noise_stage *self)
{
    return ae_music_guard_presence(self->music);
}

void ae_noise_stage_read(const ae_noise_stage *self, ae_noise_stage_report *out)
{
    *out = self->report;
}

/* While music plays, no more than k_music_limit_db; the guard fades it in and out. */
static void ramp_attenuation(ae_noise_stage *self)
{
    float limit_db = self->config.suppress ? self->config.attenuation_limit_db : 0.0f;
    limit_db -= ae_music_guard_presence(self->music) * ae_max(limit_db - k_music_limit_db, 0.0f);
    const float rate = ae_one_pole(k_ramp_ms, k_hop_ms);
    self->attenuation_db += rate * (limit_db - self->attenuation_db);
    self->own_db += rate * (ae_min(limit_db, self->own_limit_db) - self->own_db);
}

/* Takes strokes out of power before anything learns from it, the deeper the more noise may be
 * turned down at all; stroke_gain says by how much. */
static void remove_transients(ae_noise_stage *self, const float *const *samples)
{
    float *restrict power = self->power, *restrict gain = self->stroke_gain;
    if (!self->config.transients || !self->config.suppress || self->report.music) { /* drums */
        ae_fill(gain, 1.0f, self->point_count);
        self->strokeless = 1.0f;
        return;
    }
    ae_transients_update(self->transients, samples, self->config.channels, power,
                         ae_noise_psd_power(self->noise),
                         ae_cepstral_snr_pitch_strength(self->cepstral), self->speech, gain);
    self->report.transient_count = ae_transients_count(self->transients);
    const float least = ae_amplitude_from_db(-k_stroke_depth * self->own_db);
    float before = 1e-20f, after = 1e-20f;
#pragma omp simd reduction(+ : before, after)
    for (int k = 0; k < self->point_count; k++) {
        gain[k] = ae_max(gain[k], least);
        before += power[k];
        power[k] *= gain[k] * gain[k];
        after += power[k];
    }
    self->strokeless = ae_min(after / before, self->strokeless + k_hop_ms / k_strokeless_ms);
}

/* Residual echo is what the echo gain takes away, but it takes noise along with it: a point of
 * which it takes a third and more says nothing about the noise. */
static void find_residual(ae_noise_stage *self, const float *echo_share)
{
    const float *restrict power = self->power;
    float *restrict residual = self->residual;
    if (echo_share == NULL) {
        ae_zero(residual, self->point_count);
        return;
    }
    ae_spectral_points_gather(self->points, echo_share, residual);
#pragma omp simd
    for (int k = 0; k < self->point_count; k++) {
        const float taken = residual[k];
        residual[k] = taken < k_most_taken ? taken * power[k] : k_all_echo;
    }
}

/* Look for music in the sum of the channels. */
static void listen_for_music(ae_noise_stage *self, const ae_noise_hop *hop)
{
    const int kept = ae_spectral_points_bins_kept(self->points);
    const float *re = hop->re[0], *im = hop->im[0];
    if (self->config.channels > 1) {
        /* Planes that are not needed yet in this hop. */
        float *restrict sum_re = self->interference, *restrict sum_im = self->prior_hint;
        ae_copy(sum_re, re, kept);
        ae_copy(sum_im, im, kept);
        for (int c = 1; c < self->config.channels; c++)
            for (int k = 0; k < kept; k++) {
                sum_re[k] += hop->re[c][k];
                sum_im[k] += hop->im[c][k];
            }
        re = sum_re;
        im = sum_im;
    }
    ae_music_guard_update(self->music, re, im, self->config.power_scale, hop->echo_gain);
    self->report.music = ae_music_guard_music(self->music);
}

/* Music's steady tones are not the noise's: they are marked in residual as another's. */
static void guard_music(ae_noise_stage *self, const ae_noise_hop *hop)
{
    self->report.music = 0;
    if (self->config.music_guard) listen_for_music(self, hop);
    if (!self->report.music) return;
    const int kept = ae_spectral_points_bins_kept(self->points);
    const float *restrict power = self->power;
    const float *restrict noise = ae_noise_psd_power(self->noise);
    const float *restrict tones = ae_music_guard_tones(self->music);
    float *restrict residual = self->residual;
#pragma omp simd
    for (int k = 0; k < kept; k++)
        residual[k] = power[k] > noise[k] || tones[k] > 0.5f ? k_all_echo : residual[k];
}

/* interference: the late reverberation. Where the sound falls it is no noise, so its power joins
 * that of the residual echo as foreign; where it stays, a noise that has become louder must be
 * learned. Noise: the estimate of the hop before. Music keeps its reverberation. */
static void find_reverb(ae_noise_stage *self)
{
    const float strength = self->config.dereverb * (1.0f - ae_music_guard_presence(self->music));
    ae_late_reverb_update(self->reverb, self->power, ae_noise_psd_power(self->noise), strength,
                          self->interference);
    self->report.reverb_time_s = ae_late_reverb_decay_s(self->reverb);
    const float foreign = ae_late_reverb_fall(self->reverb);
    const float *restrict reverb = self->interference;
    float *restrict residual = self->residual;
#pragma omp simd
    for (int k = 0; k < self->point_count; k++) residual[k] += foreign * reverb[k];
}

/* The classical gain against noise and late reverberation, from the a priori SNR. */
static void find_gain(ae_noise_stage *self, float near_end_presence)
{
    const float *power = self->power, *noise = ae_noise_psd_power(self->noise);
    float *restrict interference = self->interference, *gain_log2 = self->gain;
    const float least_log2 = -0.5f * k_ae_log2_per_db * self->own_db;
    for (int k = 0; k < self->point_count; k++) interference[k] += noise[k];
    ae_cepstral_snr_update(self->cepstral, power, interference, self->prior_hint);
    ae_speech_gain_update(self->speech_gain, power, interference, self->prior_hint, least_log2,
                          gain_log2);
    ae_musical_noise_smooth(self->musical, power, gain_log2);
    if (!self->report.music) /* its bass is no rumble */
        ae_rumble_suppress(self->rumble, power, noise, ae_cepstral_snr_pitch_hz(self->cepstral),
                           ae_cepstral_snr_pitch_strength(self->cepstral), least_log2, gain_log2);
    /* Echo alone is as loud as speech here; what the echo gain leaves of it goes to the floor. */
    const float open = ae_min(near_end_presence / k_some_near_end, 1.0f);
    for (int k = 0; k < self->point_count; k++)
        gain_log2[k] = ae_exp2(least_log2 + open * (gain_log2[k] - least_log2));
}

/* The voice of this room is what the echo gain leaves: echo alone is no speech. */
static void judge_speech(ae_noise_stage *self, const float *echo_gain)
{
    ae_speech_hop hop = {
        self->power, ae_noise_psd_power(self->noise), ae_speech_gain_prior_snr(self->speech_gain),
        ae_cepstral_snr_pitch_strength(self->cepstral), ae_cepstral_snr_pitch_hz(self->cepstral)};
    if (echo_gain != NULL) {
        /* Planes that are no longer needed in this hop. */
        float *restrict prior = self->prior_hint, *restrict left = self->interference;
        float *restrict noise = self->residual;
        ae_spectral_points_gather(self->points, echo_gain, prior);
        float before = 1e-20f, after = 0.0f;
#pragma omp simd reduction(+ : before, after)
        for (int k = 0; k < self->point_count; k++) {
            const float kept = prior[k] * prior[k];
            left[k] = hop.power[k] * kept;
            noise[k] = hop.noise[k] + k_echo_left * (hop.power[k] - left[k]);
            prior[k] = hop.prior_snr[k] * kept * hop.noise[k] / noise[k];
            before += hop.power[k];
            after += left[k];
        }
        hop.pitch_strength *= after / before;
        hop.power = left;
        hop.noise = noise;
        hop.prior_snr = prior;
    }
    self->speech = ae_speech_presence_update(self->speech_presence, &hop);
    self->report.speech_probability = self->speech * ae_min(self->strokeless / k_speech_left, 1.0f);
}

/* Strokes do not count: they are no part of the noise estimate. */
static void measure(ae_noise_stage *self)
{
    const float *restrict noise = ae_noise_psd_power(self->noise);
    const float *restrict widths = ae_spectral_points_widths(self->points);
    const float *restrict gain = self->gain;
    float level = 0.0f, kept = 0.0f;
#pragma omp simd reduction(+ : level, kept)
    for (int k = 0; k < self->point_count; k++) {
        level += widths[k] * noise[k];
        kept += widths[k] * noise[k] * gain[k] * gain[k];
    }
    self->kept += ae_one_pole(k_meter_ms, k_hop_ms) * (kept / level - self->kept);
    self->report.level_dbfs = ae_db_from_power(level / (float)self->bins);
    self->report.reduction_db = ae_max(-ae_db_from_power(self->kept), 0.0f);
}

void ae_noise_stage_update(ae_noise_stage *self, const ae_noise_hop *hop, float *gain)
{
    ramp_attenuation(self);
    ae_spectral_points_gather(self->points, hop->power, self->power);
    remove_transients(self, hop->samples);
    find_residual(self, hop->echo_share);
    if (self->config.suppress) {
        guard_music(self, hop);
        find_reverb(self);
    }
    ae_noise_psd_update(self->noise, self->power, self->residual);
    if (self->config.suppress) {
        find_gain(self, hop->near_end_presence);
        judge_speech(self, hop->echo_gain);
        ae_noise_psd_learn_absence(self->noise, ae_max(1.0f - self->speech / k_sure_absence, 0.0f));
    } else {
        ae_fill(self->gain, 1.0f, self->point_count);
    }
    measure(self);
    for (int k = 0; k < self->point_count; k++) self->gain[k] *= self->stroke_gain[k];
    ae_spectral_points_spread(self->points, self->gain, gain);
}
