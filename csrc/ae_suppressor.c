#include "ae_suppressor.h"

#include "ae_cepstral_snr.h"
#include "ae_comfort_noise.h"
#include "ae_echo_stage.h"
#include "ae_hum.h"
#include "ae_late_reverb.h"
#include "ae_music_guard.h"
#include "ae_musical_noise.h"
#include "ae_noise_psd.h"
#include "ae_rumble.h"
#include "ae_spectral_points.h"
#include "ae_speech_gain.h"
#include "ae_speech_presence.h"
#include "ae_stft.h"
#include "ae_transients.h"
#include "ae_vector_math.h"

static const float k_most_attenuation_db = 40.0f;
static const float k_window_hops = 3.2f; /* 32 ms: keeps the harmonics of a voice apart */
static const float k_ramp_ms = 30.0f, k_meter_ms = 300.0f, k_hop_ms = 10.0f;
static const float k_music_limit_db = 6.0f;
/* Hum is taken out without the sound around it, so it may go far where noise may not: that far down
 * from a limit of k_hum_full_from_db on, and 1/8 further than noise above 20 dB. */
static const float k_hum_db = 22.5f, k_hum_full_from_db = 0.5f, k_hum_depth = 1.125f;
static const float k_stroke_depth = 3.0f; /* a stroke stands so much higher than noise, in dB */
/* From this share on a point's residual echo is said to be all there is. */
static const float k_most_taken = 0.33f, k_all_echo = 1e20f;
static const float k_sure_absence = 0.2f; /* speech probability below which noise is learned */
/* What is left of echo that was taken away counts as noise up to -20 dB of it. */
static const float k_echo_left = 0.01f;
static const float k_decay_edges_hz[k_ae_reverb_bands + 1] = {200.0f, 500.0f, 1200.0f, 2500.0f,
                                                              5000.0f};

typedef struct {
    ae_stft *stft;
    float *re, *im;
} channel;

struct ae_suppressor {
    ae_suppressor_config config; /* the parameters as last set */
    int hop, bins, point_count;
    float power_scale;    /* |X|^2 to the power of white noise, mean over channels */
    float attenuation_db; /* ramped */
    channel channels[AE_MAX_CHANNELS];
    ae_spectral_points *points;
    ae_noise_psd *noise;
    ae_late_reverb *reverb;
    ae_cepstral_snr *cepstral;
    ae_musical_noise *musical;
    ae_rumble *rumble;
    ae_transients *transients;
    ae_speech_presence *speech_presence;
    ae_speech_gain *speech;
    ae_music_guard *music;
    ae_hum *hum;
    ae_echo_stage *echo; /* NULL without the echo stage, as is the next */
    ae_comfort_noise *comfort;
    float *power, *bin_gain, *echo_gain, *taken, *scratch; /* [bins] */
    float *point_power, *point_residual, *point_gain, *prior_hint, *interference,
        *stroke_gain; /* [points] */
    ae_suppressor_report report;
    float noise_kept, echo_kept; /* smoothed power ratios behind the report */
};

ae_suppressor_config ae_suppressor_default_config(int sample_rate_hz)
{
    return (ae_suppressor_config){.sample_rate_hz = sample_rate_hz,
                                  .channels = 1,
                                  .noise = 1,
                                  .attenuation_limit_db = 20.0f,
                                  .dereverb = 1.0f,
                                  .transients = 1};
}

static int config_is_valid(const ae_suppressor_config *config)
{
    return config->sample_rate_hz >= AE_MIN_RATE_HZ && config->sample_rate_hz <= AE_MAX_RATE_HZ &&
           config->channels >= 1 && config->first_channel >= 0 &&
           config->first_channel <= AE_MAX_CHANNELS - config->channels &&
           (config->echo == 0 || config->echo == 1) && (config->noise == 0 || config->noise == 1) &&
           config->attenuation_limit_db >= 0.0f &&
           config->attenuation_limit_db <= k_most_attenuation_db && config->dereverb >= 0.0f &&
           config->dereverb <= 1.0f && (config->transients == 0 || config->transients == 1) &&
           (config->music_guard == 0 || config->music_guard == 1);
}

static ae_suppressor *lay_out(ae_arena *arena, const ae_suppressor *shape)
{
    ae_suppressor *self = AE_TAKE(arena, 1, ae_suppressor);
    ae_suppressor filled = *shape;
    float **bin_planes[] = {&filled.power, &filled.bin_gain, &filled.echo_gain, &filled.taken,
                            &filled.scratch};
    float **point_planes[] = {&filled.point_power,  &filled.point_residual, &filled.prior_hint,
                              &filled.interference, &filled.point_gain,     &filled.stroke_gain};
    for (size_t i = 0; i < sizeof bin_planes / sizeof *bin_planes; i++)
        *bin_planes[i] = AE_TAKE(arena, shape->bins, float);
    for (size_t i = 0; i < sizeof point_planes / sizeof *point_planes; i++)
        *point_planes[i] = AE_TAKE(arena, shape->point_count, float);
    for (int c = 0; c < shape->config.channels; c++) {
        filled.channels[c].re = AE_TAKE(arena, shape->bins, float);
        filled.channels[c].im = AE_TAKE(arena, shape->bins, float);
    }
    if (self == NULL) return NULL;
    *self = filled;
    return self;
}

static void destroy_parts(ae_suppressor *self)
{
    for (int c = 0; c < AE_MAX_CHANNELS; c++) {
        ae_stft_destroy(self->channels[c].stft);
    }
    ae_spectral_points_destroy(self->points);
    ae_noise_psd_destroy(self->noise);
    ae_late_reverb_destroy(self->reverb);
    ae_cepstral_snr_destroy(self->cepstral);
    ae_musical_noise_destroy(self->musical);
    ae_rumble_destroy(self->rumble);
    ae_transients_destroy(self->transients);
    ae_speech_presence_destroy(self->speech_presence);
    ae_speech_gain_destroy(self->speech);
    ae_music_guard_destroy(self->music);
    ae_hum_destroy(self->hum);
    ae_echo_stage_destroy(self->echo);
    ae_comfort_noise_destroy(self->comfort);
}

static ae_status create_channels(ae_suppressor *shape)
{
    const ae_stft_config stft = {shape->hop, (int)(k_window_hops * (float)shape->hop + 0.5f)};
    for (int c = 0; c < shape->config.channels; c++) {
        const ae_status status = ae_stft_create(&shape->channels[c].stft, &stft);
        if (status != AE_OK) return status;
    }
    const ae_echo_stage_config echo = {shape->config.sample_rate_hz, shape->config.channels,
                                       stft.hop_frames, stft.window_frames};
    return shape->config.echo ? ae_echo_stage_create(&shape->echo, &echo) : AE_OK;
}

static ae_status create_parts(ae_suppressor *shape)
{
    ae_status status = create_channels(shape);
    if (status != AE_OK) return status;
    const ae_stft *stft = shape->channels[0].stft;
    shape->bins = ae_stft_bins(stft);
    shape->power_scale = 1.0f / (ae_stft_window_power(stft) * (float)shape->config.channels);
    const ae_spectral_points_config points = {shape->config.sample_rate_hz, ae_stft_fft_size(stft)};
    status = ae_spectral_points_create(&shape->points, &points);
    if (status != AE_OK) return status;
    shape->point_count = ae_spectral_points_count(shape->points);
    const ae_noise_psd_config noise = {shape->point_count, k_hop_ms};
    status = ae_noise_psd_create(&shape->noise, &noise);
    if (status != AE_OK) return status;
    ae_late_reverb_config reverb = {.points = shape->point_count, .hop_ms = k_hop_ms};
    for (int b = 0; b <= k_ae_reverb_bands; b++)
        reverb.band_edges[b] = ae_spectral_points_at(shape->points, k_decay_edges_hz[b]);
    status = ae_late_reverb_create(&shape->reverb, &reverb);
    if (status != AE_OK) return status;
    status =
        ae_musical_noise_create(&shape->musical, &(ae_musical_noise_config){shape->point_count});
    if (status != AE_OK) return status;
    const ae_transients_config transients = {shape->config.sample_rate_hz, shape->hop,
                                             shape->point_count,
                                             ae_spectral_points_bin_hz(shape->points)};
    status = ae_transients_create(&shape->transients, &transients);
    if (status != AE_OK) return status;
    const ae_speech_features_config presence = {ae_spectral_points_bins_kept(shape->points),
                                                ae_spectral_points_bin_hz(shape->points), k_hop_ms};
    status = ae_speech_presence_create(&shape->speech_presence, &presence);
    if (status != AE_OK) return status;
    const int kept = ae_spectral_points_bins_kept(shape->points);
    const ae_rumble_config rumble = {kept, ae_spectral_points_bin_hz(shape->points), shape->bins};
    status = ae_rumble_create(&shape->rumble, &rumble);
    if (status != AE_OK) return status;
    const ae_cepstral_snr_config cepstral = {kept, ae_spectral_points_bin_hz(shape->points),
                                             k_hop_ms};
    status = ae_cepstral_snr_create(&shape->cepstral, &cepstral);
    if (status != AE_OK) return status;
    const ae_music_guard_config music = {kept, cepstral.bin_hz, k_hop_ms};
    status = ae_music_guard_create(&shape->music, &music);
    if (status != AE_OK) return status;
    const ae_hum_config hum = {.bins = shape->bins,
                               .fft_size = ae_stft_fft_size(stft),
                               .channels = shape->config.channels,
                               .sample_rate_hz = shape->config.sample_rate_hz,
                               .hop_frames = shape->hop,
                               .window = ae_stft_window(stft),
                               .window_frames = ae_stft_window_frames(stft)};
    status = ae_hum_create(&shape->hum, &hum);
    if (status != AE_OK) return status;
    const ae_speech_gain_config speech = {shape->point_count, kept, k_hop_ms};
    status = ae_speech_gain_create(&shape->speech, &speech);
    if (status != AE_OK || !shape->config.echo) return status;
    return ae_comfort_noise_create(&shape->comfort,
                                   &(ae_comfort_noise_config){shape->bins, k_hop_ms});
}

ae_status ae_suppressor_create(ae_suppressor **out, const ae_suppressor_config *config)
{
    *out = NULL;
    if (!config_is_valid(config)) return AE_ERROR_ARGUMENT;
    ae_suppressor shape = {.config = *config, .hop = ae_block_frames(config->sample_rate_hz)};
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

void ae_suppressor_reset(ae_suppressor *self)
{
    for (int c = 0; c < self->config.channels; c++) ae_stft_reset(self->channels[c].stft);
    ae_noise_psd_reset(self->noise);
    ae_late_reverb_reset(self->reverb);
    ae_cepstral_snr_reset(self->cepstral);
    ae_rumble_reset(self->rumble);
    ae_transients_reset(self->transients);
    ae_speech_presence_reset(self->speech_presence);
    ae_speech_gain_reset(self->speech);
    ae_music_guard_reset(self->music);
    ae_hum_reset(self->hum);
    if (self->config.echo) {
        ae_echo_stage_reset(self->echo);
        ae_comfort_noise_reset(self->comfort);
    }
    self->attenuation_db = self->config.noise ? self->config.attenuation_limit_db : 0.0f;
    self->noise_kept = self->echo_kept = 1.0f;
    self->report = (ae_suppressor_report){.noise_level_dbfs = -120.0f, .near_end_presence = 1.0f};
}

int ae_suppressor_latency_frames(const ae_suppressor *self) { return self->hop; }

void ae_suppressor_set_attenuation_limit_db(ae_suppressor *self, float attenuation_limit_db)
{
    if (attenuation_limit_db != attenuation_limit_db) return;
    self->config.attenuation_limit_db = ae_clamp(attenuation_limit_db, 0.0f, k_most_attenuation_db);
}

void ae_suppressor_set_dereverb(ae_suppressor *self, float dereverb)
{
    if (dereverb != dereverb) return;
    self->config.dereverb = ae_clamp(dereverb, 0.0f, 1.0f);
}

void ae_suppressor_set_transients(ae_suppressor *self, int transients)
{
    self->config.transients = transients != 0;
}

void ae_suppressor_set_music_guard(ae_suppressor *self, int music_guard)
{
    self->config.music_guard = music_guard != 0;
    if (!music_guard) ae_music_guard_reset(self->music);
}

void ae_suppressor_read(const ae_suppressor *self, ae_suppressor_report *out)
{
    *out = self->report;
}

/* Mean power over the channels of the newest hop. */
static void measure_power(ae_suppressor *self)
{
    const int bins = self->bins;
    const float scale = self->power_scale;
    float *restrict power = self->power;
    ae_zero(power, bins);
    for (int c = 0; c < self->config.channels; c++) {
        const float *restrict re = self->channels[c].re, *restrict im = self->channels[c].im;
#pragma omp simd
        for (int k = 0; k < bins; k++) power[k] += scale * (re[k] * re[k] + im[k] * im[k]);
    }
}

static void collect_spectra(const ae_suppressor *self, float **re, float **im)
{
    for (int c = 0; c < self->config.channels; c++) {
        re[c] = self->channels[c].re;
        im[c] = self->channels[c].im;
    }
}

/* Run the echo stage: echo_gain, and in point_residual the share of the power that it and the
 * filter's last learning step take. */
static void find_echo_gain(ae_suppressor *self, const ae_echo_view *const *echo)
{
    float *re[AE_MAX_CHANNELS], *im[AE_MAX_CHANNELS];
    collect_spectra(self, re, im);
    ae_echo_stage_update(self->echo, echo, re, im, self->echo_gain, self->taken);
    self->report.near_end_presence = ae_echo_stage_near_end_presence(self->echo);
    measure_power(self);
    const float *restrict power = self->power, *restrict gain = self->echo_gain;
    const float scale = self->power_scale;
    float *restrict share = self->scratch, *restrict taken = self->taken;
#pragma omp simd
    for (int k = 0; k < self->bins; k++) {
        taken[k] *= scale;
        share[k] = 1.0f - gain[k] * gain[k] * power[k] / (power[k] + taken[k] + 1e-20f);
    }
    ae_spectral_points_gather(self->points, share, self->point_residual);
}

/* Residual echo is what the echo gain takes away, but it takes noise along with it: a point of
 * which it takes a third and more says nothing about the noise. */
static void find_residual(ae_suppressor *self)
{
    const float *restrict power = self->point_power;
    float *restrict residual = self->point_residual;
#pragma omp simd
    for (int k = 0; k < self->point_count; k++) {
        const float taken = residual[k];
        residual[k] = taken < k_most_taken ? taken * power[k] : k_all_echo;
    }
}

static void remove_hum(ae_suppressor *self)
{
    float *re[AE_MAX_CHANNELS], *im[AE_MAX_CHANNELS];
    collect_spectra(self, re, im);
    ae_hum_remove(self->hum, re, im);
    self->report.hum_hz = ae_hum_hz(self->hum);
}

/* Some of it stays, so that the room keeps its sound; with no attenuation all of it is back. */
static void restore_hum(ae_suppressor *self)
{
    float *re[AE_MAX_CHANNELS], *im[AE_MAX_CHANNELS];
    const float full = ae_min(self->attenuation_db / k_hum_full_from_db, 1.0f);
    const float down_db = ae_max(full * k_hum_db, k_hum_depth * self->attenuation_db);
    collect_spectra(self, re, im);
    ae_hum_restore(self->hum, ae_amplitude_from_db(-down_db), re, im);
}

/* Look for music in the sum of the channels. Its steady tones are not the noise's: they are marked
 * in point_residual as another's. */
static void guard_music(ae_suppressor *self, int has_echo)
{
    self->report.music = 0;
    if (!self->config.music_guard) return;
    const int kept = ae_spectral_points_bins_kept(self->points);
    const float *re = self->channels[0].re, *im = self->channels[0].im;
    if (self->config.channels > 1) {
        float *restrict sum_re = self->bin_gain, *restrict sum_im = self->scratch;
        ae_copy(sum_re, re, kept);
        ae_copy(sum_im, im, kept);
        for (int c = 1; c < self->config.channels; c++)
            for (int k = 0; k < kept; k++) {
                sum_re[k] += self->channels[c].re[k];
                sum_im[k] += self->channels[c].im[k];
            }
        re = sum_re;
        im = sum_im;
    }
    ae_music_guard_update(self->music, re, im, self->power_scale,
                          has_echo ? self->echo_gain : NULL);
    self->report.music = ae_music_guard_music(self->music);
    if (!self->report.music) return;
    const float *restrict power = self->point_power;
    const float *restrict noise = ae_noise_psd_power(self->noise);
    const float *restrict tones = ae_music_guard_tones(self->music);
    float *restrict residual = self->point_residual;
#pragma omp simd
    for (int k = 0; k < kept; k++)
        residual[k] = power[k] > noise[k] || tones[k] > 0.5f ? k_all_echo : residual[k];
}

static void apply_gain(ae_suppressor *self)
{
    for (int c = 0; c < self->config.channels; c++) {
        float *restrict re = self->channels[c].re, *restrict im = self->channels[c].im;
        const float *restrict gain = self->bin_gain;
#pragma omp simd
        for (int k = 0; k < self->bins; k++) {
            re[k] *= gain[k];
            im[k] *= gain[k];
        }
    }
}

/* bin_gain: noise and echo gain together. What the echo filter has taken of the noise in this hop
 * is missing as well. Overwrites power and bin_gain, which are not used after this. */
static void add_comfort_noise(ae_suppressor *self)
{
    float *restrict amplitude = self->scratch;
    float *restrict power = self->power, *restrict gain = self->bin_gain;
    const float *restrict taken = self->taken;
#pragma omp simd
    for (int k = 0; k < self->bins; k++) {
        const float before = power[k] + taken[k];
        gain[k] *= sqrtf(power[k] / (before + 1e-20f));
        power[k] = before;
    }
    ae_spectral_points_spread(self->points, ae_noise_psd_power(self->noise), amplitude);
    ae_comfort_noise_track(self->comfort, power, amplitude);
    if (!ae_comfort_noise_missing(self->comfort, gain, ae_amplitude_from_db(-self->attenuation_db),
                                  amplitude))
        return;
    const float expected = self->power_scale * (float)self->config.channels;
    const float scale = 1.0f / sqrtf(expected * ae_stft_random_power(self->channels[0].stft));
#pragma omp simd
    for (int k = 0; k < self->bins; k++) amplitude[k] *= scale;
    for (int c = 0; c < self->config.channels; c++)
        ae_comfort_noise_add(self->comfort, self->config.first_channel + c, amplitude,
                             self->channels[c].re, self->channels[c].im);
}

static void measure(ae_suppressor *self, int has_echo)
{
    const float *restrict noise = ae_noise_psd_power(self->noise);
    const float *restrict widths = ae_spectral_points_widths(self->points);
    const float *restrict gain = self->point_gain;
    float level = 0.0f, kept = 0.0f, echo_kept = 1.0f;
#pragma omp simd reduction(+ : level, kept)
    for (int k = 0; k < self->point_count; k++) {
        level += widths[k] * noise[k];
        kept += widths[k] * noise[k] * gain[k] * gain[k];
    }
    if (has_echo) {
        const float *restrict power = self->power, *restrict echo_gain = self->echo_gain;
        float before = 1e-20f, after = 1e-20f;
#pragma omp simd reduction(+ : before, after)
        for (int k = 0; k < self->bins; k++) {
            before += power[k];
            after += power[k] * echo_gain[k] * echo_gain[k];
        }
        echo_kept = after / before;
    }
    const float rate = ae_one_pole(k_meter_ms, k_hop_ms);
    self->noise_kept += rate * (kept / level - self->noise_kept);
    self->echo_kept += rate * (echo_kept - self->echo_kept);
    self->report.noise_level_dbfs = ae_db_from_power(level / (float)self->bins);
    self->report.noise_reduction_db = ae_max(-ae_db_from_power(self->noise_kept), 0.0f);
    self->report.echo_reduction_db = ae_max(-ae_db_from_power(self->echo_kept), 0.0f);
}

/* The voice of this room is what the echo gain leaves: echo alone is no speech. */
static void judge_speech(ae_suppressor *self, int has_echo)
{
    ae_speech_hop hop = {
        self->point_power, ae_noise_psd_power(self->noise), ae_speech_gain_prior_snr(self->speech),
        ae_cepstral_snr_pitch_strength(self->cepstral), ae_cepstral_snr_pitch_hz(self->cepstral)};
    if (has_echo) {
        /* Planes that are no longer needed in this hop. */
        float *restrict prior = self->prior_hint, *restrict left = self->interference;
        float *restrict noise = self->point_residual;
        ae_spectral_points_gather(self->points, self->echo_gain, prior);
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
    self->report.speech_probability = ae_speech_presence_update(self->speech_presence, &hop);
}

/* Takes strokes out of point_power before anything learns from it, the deeper the more noise may
 * be turned down at all; stroke_gain says by how much. */
static void remove_transients(ae_suppressor *self, const float *const *in)
{
    float *restrict power = self->point_power, *restrict gain = self->stroke_gain;
    if (!self->config.transients || !self->config.noise || self->report.music) { /* drums */
        ae_fill(gain, 1.0f, self->point_count);
        return;
    }
    ae_transients_update(
        self->transients, in, self->config.channels, power, ae_noise_psd_power(self->noise),
        ae_cepstral_snr_pitch_strength(self->cepstral), self->report.speech_probability, gain);
    self->report.transient_count = ae_transients_count(self->transients);
    const float least = ae_amplitude_from_db(-k_stroke_depth * self->attenuation_db);
#pragma omp simd
    for (int k = 0; k < self->point_count; k++) {
        gain[k] = ae_max(gain[k], least);
        power[k] *= gain[k] * gain[k];
    }
}

/* interference: the late reverberation. Where the sound falls it is no noise, so its power joins
 * that of the residual echo as foreign; where it stays, a noise that has become louder must be
 * learned. Noise: the estimate of the hop before. Music keeps its reverberation. */
static void find_reverb(ae_suppressor *self)
{
    const float strength = self->config.dereverb * (1.0f - ae_music_guard_presence(self->music));
    ae_late_reverb_update(self->reverb, self->point_power, ae_noise_psd_power(self->noise),
                          strength, self->interference);
    self->report.reverb_time_s = ae_late_reverb_decay_s(self->reverb);
    const float foreign = ae_late_reverb_fall(self->reverb);
    const float *restrict reverb = self->interference;
    float *restrict residual = self->point_residual;
#pragma omp simd
    for (int k = 0; k < self->point_count; k++) residual[k] += foreign * reverb[k];
}

/* Gain against noise and late reverberation, and what the hop says about the noise. */
static void find_noise_gain(ae_suppressor *self, int has_echo)
{
    const float *noise = ae_noise_psd_power(self->noise), *power = self->point_power;
    float *gain_log2 = self->point_gain;
    const float least_log2 = -0.5f * k_ae_log2_per_db * self->attenuation_db;
    const float music = ae_music_guard_presence(self->music);
    for (int k = 0; k < self->point_count; k++) self->interference[k] += noise[k];
    ae_cepstral_snr_update(self->cepstral, power, self->interference, self->prior_hint);
    ae_speech_gain_find_prior(self->speech, power, self->interference, self->prior_hint);
    judge_speech(self, has_echo);
    const float speech = self->report.speech_probability;
    ae_speech_gain_find_gain(self->speech, power, ae_max(speech, music), least_log2, gain_log2);
    ae_musical_noise_smooth(self->musical, power, gain_log2);
    if (!self->report.music) /* its bass is no rumble */
        ae_rumble_suppress(self->rumble, power, noise, ae_cepstral_snr_pitch_hz(self->cepstral),
                           ae_cepstral_snr_pitch_strength(self->cepstral), least_log2, gain_log2);
    for (int k = 0; k < self->point_count; k++) gain_log2[k] = ae_exp2(gain_log2[k]);
    ae_noise_psd_learn_absence(self->noise, ae_max(1.0f - speech / k_sure_absence, 0.0f));
}

/* While music plays, no more than k_music_limit_db; the guard fades it in and out. */
static void ramp_attenuation(ae_suppressor *self)
{
    float limit_db = self->config.noise ? self->config.attenuation_limit_db : 0.0f;
    limit_db -= ae_music_guard_presence(self->music) * ae_max(limit_db - k_music_limit_db, 0.0f);
    self->attenuation_db += ae_one_pole(k_ramp_ms, k_hop_ms) * (limit_db - self->attenuation_db);
}

void ae_suppressor_process(ae_suppressor *self, const float *const *in,
                           const ae_echo_view *const *echo, float *const *out)
{
    const int has_echo = echo != NULL && self->config.echo;
    ramp_attenuation(self);
    for (int c = 0; c < self->config.channels; c++)
        ae_stft_analyse(self->channels[c].stft, in[c], self->channels[c].re, self->channels[c].im);
    if (self->config.noise) remove_hum(self);
    self->report.near_end_presence = 1.0f;
    if (has_echo)
        find_echo_gain(self, echo);
    else
        measure_power(self);
    ae_spectral_points_gather(self->points, self->power, self->point_power);
    remove_transients(self, in);
    if (has_echo)
        find_residual(self);
    else
        ae_zero(self->point_residual, self->point_count);
    if (self->config.noise) {
        guard_music(self, has_echo);
        find_reverb(self);
    }
    ae_noise_psd_update(self->noise, self->point_power, self->point_residual);
    if (self->config.noise) {
        find_noise_gain(self, has_echo);
    } else {
        ae_fill(self->point_gain, 1.0f, self->point_count);
    }
    measure(self, has_echo);
    for (int k = 0; k < self->point_count; k++) self->point_gain[k] *= self->stroke_gain[k];
    ae_spectral_points_spread(self->points, self->point_gain, self->bin_gain);
    if (has_echo)
        for (int k = 0; k < self->bins; k++) self->bin_gain[k] *= self->echo_gain[k];
    apply_gain(self);
    if (self->report.hum_hz > 0.0f) restore_hum(self);
    if (has_echo) add_comfort_noise(self);
    for (int c = 0; c < self->config.channels; c++)
        ae_stft_synthesise(self->channels[c].stft, self->channels[c].re, self->channels[c].im,
                           out[c]);
}
