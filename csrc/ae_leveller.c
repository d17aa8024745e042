/* ae_leveller.c - see ae_leveller.h. All speeds are in dB per block of 10 ms. */
#include "ae_leveller.h"

#include "ae_kweight.h"
#include "ae_math.h"
#include "ae_speech_loudness.h"

/* Slow gain: fast while it is far off; within 0.6 dB, where steady speech keeps it, 1 dB/s up and 3
 * down. */
static const float k_dead_band_db = 0.25f; /* closer to the wanted gain, it stands still */
static const float k_far_db = 2.5f, k_near_db = 0.6f;
static const float k_down_far_db = 0.9f, k_down_near_db = 0.12f, k_down_fine_db = 0.03f;
static const float k_up_far_db = 0.35f, k_up_near_db = 0.05f, k_up_fine_db = 0.01f;
static const float k_up_first_db = 0.6f;  /* a quiet host is lifted 30 dB in half a second */
static const float k_first_off_db = 1.5f; /* ... while further off than this */
static const int k_first_windows = 200;   /* ... in the first 2 s of speech */
/* A window counts from 80 ms of speech on. */
static const int k_windows_to_fall = 8;  /* 0.15 s of speech before the gain may fall */
static const int k_windows_to_rise = 20; /* 0.27 s before it may rise: not for a click */

/* Feedback: what came out so far, over the target, is taken off what is asked for. */
static const int k_delivered_windows = 1500;     /* remembers 15 s of speech */
static const int k_delivered_prior_windows = 50; /* a new voice starts as if 0.5 s had been right */
static const int k_delivered_from_windows = 100; /* 1 s: a level younger than that starts it anew */
static const float k_delivered_most_db = 2.0f;

/* Guard, in LU over the target, with the slow gain. It is on in 0.3 % of steady speech (measured,
 * from 2 s on); in the first 1.5 s the last 0.1 s engage it sooner. Then it holds both until the
 * loudness is back. */
static const float k_guard_engage_lu = 7.0f;
static const float k_guard_engage_syllable_lu = 13.0f;
static const float k_guard_engage_young_lu = 3.5f;
static const int k_guard_young_windows = 150; /* 1.5 s */
static const float k_guard_hold_lu = 2.0f;
static const float k_guard_hold_syllable_lu = 5.0f;
static const int k_guard_hold_blocks = 10;  /* a syllable */
static const float k_guard_still_db = 4.5f; /* so far over: a phrase fades, the shout goes on ... */
static const float k_guard_slow_db = 0.04f; /* ... return slowly */
static const float k_guard_return_db = 0.5f; /* else at once: no hole behind a shout */

/* Model of the limiter that follows */
static const float k_limiter_decay = 0.8825f; /* per block: its release, 80 ms */
static const float k_limiter_share = 0.8f;    /* of the peak's reduction, over the block (fitted) */
static const float k_limiter_most_db = 4.0f;  /* more is a shout, not this voice's crest */

/* Impulse rule: what jumps so far over the voice and is back within 80 ms was a bump or a slam. */
static const double k_impulse_ratio = 100.0;   /* 20 LU over the voice: it begins */
static const double k_impulse_end_ratio = 4.0; /* 6 LU: it is over. A shout stays above */
static const int k_impulse_blocks = 8;

/* Pause rule */
static const int k_pause_wait_blocks = 50;      /* 0.5 s: longer than a breath */
static const float k_pause_noise_lufs = -50.0f; /* noise above it is turned down */
static const float k_pause_down_db = 0.2f;      /* 20 dB/s */

/* All together: back from a pause within 30 ms of the first syllable, without a click. */
static const float k_rise_most_db = 4.0f;

typedef struct {
    float reduction_db;
    int hold_blocks;
} leveller_guard;

/* The voice as it came out, relative to the target. */
typedef struct {
    double ratio; /* mean of the power over that of the target */
    int windows;
} leveller_delivered;

/* All that an impulse can spoil. */
typedef struct {
    ae_speech_loudness voice;
    leveller_delivered delivered;
    leveller_guard guard;
    float slow_gain_db;
    float pause_reduction_db;
    float limiter_reduction_db; /* of the model */
} leveller_state;

struct ae_leveller {
    ae_leveller_config config;
    int block_frames;
    ae_kweight *weighting;
    leveller_state now;
    leveller_state before_impulse;
    double removed_noise; /* mean square, 0: not known */
    int music;            /* 0/1 */
    int impulse_blocks;   /* of the jump that is running, 0: none */
    float gain_db;        /* at the end of the last block */
    float gain;           /* the same as amplitude */
};

static float toward(float value, float wanted, float step)
{
    return value + ae_clamp(wanted - value, -step, step);
}

static float slow_gain_step(float off_db, int windows)
{
    const float size = fabsf(off_db);
    if (off_db < 0.0f)
        return size > k_far_db ? k_down_far_db : size > k_near_db ? k_down_near_db : k_down_fine_db;
    if (windows < k_first_windows && size > k_first_off_db) return k_up_first_db;
    return size > k_far_db ? k_up_far_db : size > k_near_db ? k_up_near_db : k_up_fine_db;
}

static void forget_delivered(leveller_delivered *self)
{
    *self = (leveller_delivered){1.0, k_delivered_prior_windows};
}

/* gain_db: of the blocks of the window, nearly. */
static void measure_delivered(leveller_state *self, float gain_db, float target_lufs)
{
    leveller_delivered *delivered = &self->delivered;
    if (self->voice.level.windows < k_delivered_from_windows) {
        forget_delivered(delivered);
    } else if (self->voice.level.counted) {
        const float over_lu = ae_speech_loudness_window_lufs(&self->voice) + gain_db - target_lufs;
        if (delivered->windows < k_delivered_windows) delivered->windows++;
        const double ratio = (double)ae_power_from_db(over_lu);
        delivered->ratio += (ratio - delivered->ratio) / delivered->windows;
    }
}

/* Toward the gain that puts the voice on the target. Upward only while a voice speaks. */
static void move_slow_gain(leveller_state *self, const ae_leveller_config *config)
{
    const ae_speech_loudness *voice = &self->voice;
    const int windows = voice->level.windows;
    if (windows < k_windows_to_fall) return;
    const float missing_db = ae_clamp(-ae_db_from_power((float)self->delivered.ratio),
                                      -k_delivered_most_db, k_delivered_most_db);
    const float level_lufs = ae_speech_loudness_kept_lufs(voice);
    const float wanted_db = ae_clamp(config->target_lufs + missing_db - level_lufs,
                                     config->min_gain_db, config->max_gain_db);
    const float off_db = wanted_db - self->slow_gain_db;
    if (fabsf(off_db) < k_dead_band_db) return;
    const int speaks = voice->decision.active && voice->decision.confirmed_blocks > 0;
    if (off_db > 0.0f && (!speaks || windows < k_windows_to_rise)) return;

    const float step_db = slow_gain_step(off_db, windows);
    self->slow_gain_db = toward(self->slow_gain_db, wanted_db, step_db);
    if (off_db < 0.0f) /* what the slow gain takes over, the guard gives back */
        self->guard.reduction_db = fmaxf(0.0f, self->guard.reduction_db - fminf(step_db, -off_db));
}

/* Holds a shout, or a host whose level is not known yet, until the slow gain has followed. */
static void move_guard(leveller_state *self, float target_lufs)
{
    leveller_guard *guard = &self->guard;
    const float to_lu = self->slow_gain_db - target_lufs;
    const float momentary_lu = ae_speech_loudness_momentary_lufs(&self->voice) + to_lu;
    const float syllable_lu = ae_speech_loudness_syllable_lufs(&self->voice) + to_lu;
    const int young = self->voice.level.windows < k_guard_young_windows;
    const int engaged =
        guard->reduction_db > 0.0f || momentary_lu > k_guard_engage_lu ||
        syllable_lu > (young ? k_guard_engage_young_lu : k_guard_engage_syllable_lu);
    const float over_db =
        fmaxf(momentary_lu - k_guard_hold_lu, syllable_lu - k_guard_hold_syllable_lu);
    const float wanted_db = engaged ? fmaxf(0.0f, over_db) : 0.0f;
    if (wanted_db > guard->reduction_db) {
        guard->reduction_db = wanted_db;
        guard->hold_blocks = k_guard_hold_blocks;
    } else if (guard->hold_blocks > 0) {
        guard->hold_blocks--;
    } else if (wanted_db == 0.0f || wanted_db < guard->reduction_db - k_dead_band_db) {
        const float step_db = wanted_db > k_guard_still_db ? k_guard_slow_db : k_guard_return_db;
        guard->reduction_db = toward(guard->reduction_db, wanted_db, step_db);
    }
}

/* Noise that the gain has lifted is turned down again in pauses. */
static void move_pause_reduction(leveller_state *self, float most_db)
{
    if (self->voice.decision.pause_blocks < k_pause_wait_blocks) {
        self->pause_reduction_db = 0.0f;
        return;
    }
    const float lifted_lufs = ae_speech_loudness_floor_lufs(&self->voice) + self->slow_gain_db;
    const float wanted_db = ae_clamp(lifted_lufs - k_pause_noise_lufs, 0.0f, most_db);
    self->pause_reduction_db = toward(self->pause_reduction_db, wanted_db, k_pause_down_db);
}

/* The share of the block's power that will pass the limiter: a voice with high peaks loses loudness
 * there, and is given it back in advance. */
static double share_after_limiter(leveller_state *self, float over_db)
{
    self->limiter_reduction_db =
        fminf(fmaxf(over_db, k_limiter_decay * self->limiter_reduction_db), k_limiter_most_db);
    return (double)ae_power_from_db(-k_limiter_share * self->limiter_reduction_db);
}

/* Remembers how things were before a jump of the power, and goes back there if it was an impulse.
 */
static void undo_impulse(ae_leveller *self, double power)
{
    const ae_speech_level *voice = &self->now.voice.level;
    if (self->impulse_blocks == 0) {
        if (voice->windows == 0 || power <= k_impulse_ratio * voice->power) return;
        self->before_impulse = self->now;
        self->impulse_blocks = 1;
        return;
    }
    if (power < k_impulse_end_ratio * self->before_impulse.voice.level.power) {
        if (self->impulse_blocks <= k_impulse_blocks) self->now = self->before_impulse;
        self->impulse_blocks = 0;
    } else if (self->impulse_blocks <= k_impulse_blocks) {
        self->impulse_blocks++;
    }
}

static float decide_gain_db(ae_leveller *self, double power, float peak, float speech_probability)
{
    undo_impulse(self, power);
    leveller_state *now = &self->now;
    const float over_db = ae_db_from_amplitude(peak * self->gain) - self->config.ceiling_dbtp;
    const ae_speech_block block = {.power = power,
                                   .kept_share = share_after_limiter(now, over_db),
                                   .speech_probability = speech_probability,
                                   .removed_noise = self->removed_noise,
                                   .music = self->music};
    ae_speech_loudness_update(&now->voice, &block);
    measure_delivered(now, self->gain_db, self->config.target_lufs);
    move_slow_gain(now, &self->config);
    move_guard(now, self->config.target_lufs);
    move_pause_reduction(now, self->config.pause_reduction_db);
    const float wanted_db = now->slow_gain_db - now->guard.reduction_db - now->pause_reduction_db;
    self->gain_db = fminf(wanted_db, self->gain_db + k_rise_most_db);
    return self->gain_db;
}

static float block_peak(const float *in, int frames)
{
    float peak = 0.0f;
#pragma omp simd reduction(max : peak)
    for (int i = 0; i < frames; i++) peak = fmaxf(peak, fabsf(in[i]));
    return peak;
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
                                .pause_reduction_db = 12.0f,
                                .ceiling_dbtp = -1.0f};
}

static int valid(const ae_leveller_config *c)
{
    return c->sample_rate_hz >= AE_MIN_RATE_HZ && c->sample_rate_hz <= AE_MAX_RATE_HZ &&
           c->channels >= 1 && c->channels <= AE_MAX_CHANNELS && c->target_lufs >= -36.0f &&
           c->target_lufs <= -6.0f && c->max_gain_db >= 0.0f && c->max_gain_db <= 60.0f &&
           c->min_gain_db >= -60.0f && c->min_gain_db <= 0.0f &&
           c->initial_gain_db >= c->min_gain_db && c->initial_gain_db <= c->max_gain_db &&
           c->pause_reduction_db >= 0.0f && c->pause_reduction_db <= 24.0f &&
           c->ceiling_dbtp >= -20.0f && c->ceiling_dbtp <= 0.0f;
}

ae_status ae_leveller_create(ae_leveller **out, const ae_leveller_config *config)
{
    *out = NULL;
    if (!valid(config)) return AE_ERROR_ARGUMENT;
    ae_leveller *self = ae_allocate(sizeof *self);
    if (!self) return AE_ERROR_MEMORY;
    self->config = *config;
    self->block_frames = ae_block_frames(config->sample_rate_hz);
    const ae_kweight_config weighting = {config->sample_rate_hz, config->channels};
    const ae_status status = ae_kweight_create(&self->weighting, &weighting);
    if (status != AE_OK) {
        ae_leveller_destroy(self);
        return status;
    }
    ae_leveller_reset(self);
    *out = self;
    return AE_OK;
}

void ae_leveller_process(ae_leveller *self, const float *const *in, float speech_probability,
                         float *const *out)
{
    const double power = ae_kweight_mean_square(self->weighting, in, self->block_frames);
    float peak = 0.0f;
    for (int c = 0; c < self->config.channels; c++)
        peak = fmaxf(peak, block_peak(in[c], self->block_frames));
    const float gain = ae_amplitude_from_db(decide_gain_db(self, power, peak, speech_probability));
    for (int c = 0; c < self->config.channels; c++)
        ramp(in[c], out[c], self->block_frames, self->gain, gain);
    self->gain = gain;
}

void ae_leveller_set_target_lufs(ae_leveller *self, float target_lufs)
{
    if (target_lufs != target_lufs) return; /* NaN would never leave the gain again */
    const float clamped_lufs = ae_clamp(target_lufs, -36.0f, -6.0f);
    if (clamped_lufs != self->config.target_lufs) forget_delivered(&self->now.delivered);
    self->config.target_lufs = clamped_lufs;
}

void ae_leveller_set_removed_noise_dbfs(ae_leveller *self, float level_dbfs)
{
    if (level_dbfs != level_dbfs) return;
    self->removed_noise = (double)ae_power_from_db(ae_clamp(level_dbfs, -200.0f, 20.0f));
}

void ae_leveller_set_music(ae_leveller *self, int music) { self->music = music != 0; }

void ae_leveller_read(const ae_leveller *self, ae_leveller_report *out)
{
    const leveller_state *now = &self->now;
    out->gain_db = self->gain_db;
    out->voice_gain_db = now->slow_gain_db;
    out->guard_reduction_db = now->guard.reduction_db;
    out->pause_reduction_db = now->pause_reduction_db;
    out->speech_loudness_lufs = ae_speech_loudness_lufs(&now->voice);
    out->noise_floor_lufs = ae_speech_loudness_floor_lufs(&now->voice);
    out->speech = now->voice.decision.active;
}

void ae_leveller_reset(ae_leveller *self)
{
    ae_kweight_reset(self->weighting);
    memset(&self->now, 0, sizeof self->now);
    ae_speech_loudness_reset(&self->now.voice);
    forget_delivered(&self->now.delivered);
    const float start_db = self->config.initial_gain_db;
    self->now.slow_gain_db = start_db;
    if (start_db != 0.0f)
        ae_speech_loudness_expect(&self->now.voice, self->config.target_lufs - start_db);
    self->removed_noise = 0.0;
    self->music = 0;
    self->impulse_blocks = 0;
    self->gain_db = self->config.initial_gain_db;
    self->gain = ae_amplitude_from_db(self->gain_db);
}

void ae_leveller_destroy(ae_leveller *self)
{
    if (!self) return;
    ae_kweight_destroy(self->weighting);
    ae_free(self);
}

int ae_leveller_latency_frames(const ae_leveller *self)
{
    (void)self;
    return 0;
}
