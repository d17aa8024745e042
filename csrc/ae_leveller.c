/* ae_leveller.c - see ae_leveller.h. */
#include "ae_leveller.h"

#include "ae_math.h"
#include "ae_speech_loudness.h"

/* Slow gain, dB per 10 ms block */
static const float k_dead_band_db = 0.3f;
static const float k_down_far = 0.9f, k_down_near = 0.12f, k_down_fine = 0.02f;
static const float k_up_first = 0.6f, k_up_far = 0.25f, k_up_near = 0.05f, k_up_fine = 0.01f;
static const float k_far_db = 3.0f, k_near_db = 0.8f;
static const int k_first_windows = 150; /* 1.5 s of speech */
static const int k_minimum_windows = 8;

/* Guard */
static const double k_guard_attack = 0.4, k_guard_release = 0.1;
static const float k_guard_over_lu = 6.0f;
static const float k_guard_return_db = 0.3f; /* per 10 ms */

/* Pause rule */
static const int k_pause_wait_blocks = 50;
static const float k_pause_noise_lufs = -50.0f;
static const float k_pause_down_db = 0.2f; /* per 10 ms */
static const float k_pause_up_db = 4.0f;

typedef struct {
    double b0, b1, b2, a1, a2;
} section;

/* Fast protection: loudness over about 100 ms. */
typedef struct {
    double power;
    float reduction_db;
} leveller_guard;

struct ae_leveller {
    ae_leveller_config config;
    int block_frames;
    section shelf, highpass;
    double weighting[AE_MAX_CHANNELS][4];
    ae_speech_loudness voice;
    leveller_guard guard;
    float slow_gain_db;
    float pause_reduction_db;
    float gain; /* amplitude at the end of the last block */
};

/* Bilinear redesign of the two BS.1770 stages; a stand-in until ae_kweight. */
static void design(ae_leveller *self)
{
    const double pi = 3.14159265358979323846, fs = self->config.sample_rate_hz;
    double k = tan(pi * 1681.974450955533 / fs), q = 0.7071752369554196;
    const double vh = pow(10.0, 3.999843853973347 / 20.0), vb = pow(vh, 0.4996667741545416);
    double a0 = 1.0 + k / q + k * k;
    self->shelf = (section){(vh + vb * k / q + k * k) / a0, 2.0 * (k * k - vh) / a0,
                            (vh - vb * k / q + k * k) / a0, 2.0 * (k * k - 1.0) / a0,
                            (1.0 - k / q + k * k) / a0};
    k = tan(pi * 38.13547087602444 / fs);
    q = 0.5003270373238773;
    a0 = 1.0 + k / q + k * k;
    self->highpass =
        (section){1.0, -2.0, 1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0};
}

static double weighted_power(ae_leveller *self, int channel, const float *in)
{
    const section s = self->shelf, h = self->highpass;
    double *z = self->weighting[channel];
    double sum = 0.0;
    for (int i = 0; i < self->block_frames; i++) {
        const double x = (double)in[i];
        const double y = s.b0 * x + z[0];
        z[0] = s.b1 * x - s.a1 * y + z[1];
        z[1] = s.b2 * x - s.a2 * y;
        const double w = y + z[2];
        z[2] = -2.0 * y - h.a1 * w + z[3];
        z[3] = y - h.a2 * w;
        sum += w * w;
    }
    return sum / self->block_frames;
}

static float toward(float value, float wanted, float step)
{
    return value + ae_clamp(wanted - value, -step, step);
}

static void move_slow_gain(ae_leveller *self)
{
    const ae_speech_loudness *voice = &self->voice;
    if (voice->track.windows < k_minimum_windows) return;
    const float wanted = ae_clamp(self->config.target_lufs - ae_speech_loudness_lufs(voice),
                                  self->config.min_gain_db, self->config.max_gain_db);
    const float off = wanted - self->slow_gain_db;
    const float size = fabsf(off);
    if (size < k_dead_band_db) return;
    float step;
    if (off < 0.0f)
        step = size > k_far_db ? k_down_far : size > k_near_db ? k_down_near : k_down_fine;
    else if (!voice->decision.active)
        return;
    else if (voice->track.windows < k_first_windows && size > 2.0f)
        step = k_up_first;
    else
        step = size > k_far_db ? k_up_far : size > k_near_db ? k_up_near : k_up_fine;
    self->slow_gain_db = toward(self->slow_gain_db, wanted, step);
}

static void move_guard(ae_leveller *self, double power)
{
    leveller_guard *guard = &self->guard;
    guard->power +=
        (power > guard->power ? k_guard_attack : k_guard_release) * (power - guard->power);
    const float excess = ae_lufs_from_power(guard->power) + self->slow_gain_db -
                         (self->config.target_lufs + k_guard_over_lu);
    const float wanted = excess > 0.0f ? excess : 0.0f;
    if (wanted > guard->reduction_db)
        guard->reduction_db = wanted;
    else if (wanted < guard->reduction_db - k_dead_band_db || wanted == 0.0f)
        guard->reduction_db = toward(guard->reduction_db, wanted, k_guard_return_db);
}

static void move_pause_reduction(ae_leveller *self)
{
    if (self->voice.decision.pause_blocks < k_pause_wait_blocks) {
        self->pause_reduction_db = toward(self->pause_reduction_db, 0.0f, k_pause_up_db);
        return;
    }
    const float noise_lufs =
        ae_speech_loudness_floor_lufs(&self->voice) + self->slow_gain_db - k_pause_noise_lufs;
    const float wanted = ae_clamp(noise_lufs, 0.0f, self->config.pause_reduction_db);
    self->pause_reduction_db = toward(self->pause_reduction_db, wanted, k_pause_down_db);
}

static float decide_gain_db(ae_leveller *self, double power, float speech_probability)
{
    ae_speech_loudness_update(&self->voice, power, speech_probability);
    move_slow_gain(self);
    move_guard(self, power);
    move_pause_reduction(self);
    return self->slow_gain_db - self->guard.reduction_db - self->pause_reduction_db;
}

static void ramp(const float *in, float *out, int frames, float from, float to)
{
    const float step = (to - from) / (float)frames;
#pragma omp simd
    for (int i = 0; i < frames; i++) out[i] = in[i] * (from + step * (float)(i + 1));
}

ae_leveller_config ae_leveller_default_config(int sample_rate_hz)
{
    return (ae_leveller_config){.sample_rate_hz = sample_rate_hz,
                                .channels = 1,
                                .target_lufs = -18.0f,
                                .max_gain_db = 36.0f,
                                .min_gain_db = -26.0f,
                                .initial_gain_db = 0.0f,
                                .pause_reduction_db = 12.0f};
}

static int valid(const ae_leveller_config *c)
{
    return c->sample_rate_hz >= AE_MIN_RATE_HZ && c->sample_rate_hz <= AE_MAX_RATE_HZ &&
           c->channels >= 1 && c->channels <= AE_MAX_CHANNELS && c->target_lufs >= -36.0f &&
           c->target_lufs <= -6.0f && c->max_gain_db >= 0.0f && c->max_gain_db <= 60.0f &&
           c->min_gain_db >= -60.0f && c->min_gain_db <= 0.0f &&
           c->initial_gain_db >= c->min_gain_db && c->initial_gain_db <= c->max_gain_db &&
           c->pause_reduction_db >= 0.0f && c->pause_reduction_db <= 24.0f;
}

ae_status ae_leveller_create(ae_leveller **out, const ae_leveller_config *config)
{
    *out = NULL;
    if (!valid(config)) return AE_ERROR_ARGUMENT;
    ae_leveller *self = ae_allocate(sizeof *self);
    if (!self) return AE_ERROR_MEMORY;
    self->config = *config;
    self->block_frames = ae_block_frames(config->sample_rate_hz);
    design(self);
    ae_leveller_reset(self);
    *out = self;
    return AE_OK;
}

void ae_leveller_process(ae_leveller *self, const float *const *in, float speech_probability,
                         float *const *out)
{
    double power = 0.0;
    for (int c = 0; c < self->config.channels; c++) power += weighted_power(self, c, in[c]);
    const float gain = ae_amplitude_from_db(decide_gain_db(self, power, speech_probability));
    for (int c = 0; c < self->config.channels; c++)
        ramp(in[c], out[c], self->block_frames, self->gain, gain);
    self->gain = gain;
}

void ae_leveller_set_target_lufs(ae_leveller *self, float target_lufs)
{
    if (target_lufs != target_lufs) return; /* NaN would never leave the gain again */
    self->config.target_lufs = ae_clamp(target_lufs, -36.0f, -6.0f);
}

void ae_leveller_read(const ae_leveller *self, ae_leveller_report *out)
{
    out->gain_db = ae_db_from_amplitude(self->gain);
    out->guard_reduction_db = self->guard.reduction_db;
    out->pause_reduction_db = self->pause_reduction_db;
    out->speech_loudness_lufs = ae_speech_loudness_lufs(&self->voice);
    out->noise_floor_lufs = ae_speech_loudness_floor_lufs(&self->voice);
    out->speech = self->voice.decision.active;
}

void ae_leveller_reset(ae_leveller *self)
{
    memset(self->weighting, 0, sizeof self->weighting);
    ae_speech_loudness_reset(&self->voice);
    self->guard = (leveller_guard){0.0, 0.0f};
    self->pause_reduction_db = 0.0f;
    self->slow_gain_db = self->config.initial_gain_db;
    self->gain = ae_amplitude_from_db(self->slow_gain_db);
}

void ae_leveller_destroy(ae_leveller *self) { ae_free(self); }

int ae_leveller_latency_frames(const ae_leveller *self)
{
    (void)self;
    return 0;
}
