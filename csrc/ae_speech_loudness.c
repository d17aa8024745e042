/* ae_speech_loudness.c - see ae_speech_loudness.h. */
#include "ae_speech_loudness.h"

#include <math.h>
#include <string.h>

#include "ae_math.h"

static const double k_lufs_offset_db = -0.691; /* BS.1770-5 equation 2 */
static const float k_silence_lufs = -200.0f;

/* Noise floor */
static const double k_floor_smoothing = 0.22; /* per 10 ms: 40 ms */
static const int k_floor_span_blocks = 40;    /* x AE_FLOOR_SPANS = 3.2 s */
static const double k_floor_bias = 2.0; /* mean over minimum of 40 ms noise energies, about 3 dB */

/* Speech decision */
static const double k_speech_over_floor = 4.0; /* 6 dB over the mean noise */
static const double k_tail_over_floor = 1.6;   /* 2 dB: word tails */
static const float k_speech_minimum_lufs = -66.0f;
static const int k_hangover_blocks = 12; /* 120 ms: gaps inside words */
static const float k_speech_probability = 0.5f;
static const float k_probability_decay = 0.05f; /* per 10 ms: 200 ms */

/* Level */
static const int k_window_active_minimum = 8; /* of 40: speech in a fifth of the window */
static const double k_noise_share_maximum = 0.9;
static const float k_gate_lu = 10.0f;    /* BS.1770-5 relative gate */
static const int k_memory_windows = 350; /* 3.5 s of speech */
static const float k_follow_free_lu = 2.0f;
static const float k_follow_power = 2.0f;
static const int k_follow_windows = 120;
static const int k_up_windows = 200;
static const float k_up_share = 0.75f;
static const float k_up_lu = 4.0f;
static const int k_down_windows = 140;
static const float k_down_lu = 4.0f;
static const float k_down_snr_db = 10.0f;
static const int k_restart_windows = 60;

float ae_lufs_from_power(double power)
{
    return power > 1e-20 ? (float)(k_lufs_offset_db + 10.0 * log10(power)) : k_silence_lufs;
}

void ae_speech_loudness_reset(ae_speech_loudness *self) { memset(self, 0, sizeof *self); }

static void update_floor(ae_noise_floor *self, double power, float speech_probability)
{
    if (self->filled == 0 && self->span_blocks == 0) {
        self->smoothed = power;
        self->span_minimum = power;
        self->power = k_floor_bias * power;
    }
    self->smoothed += k_floor_smoothing * (power - self->smoothed);
    self->span_minimum = fmin(self->span_minimum, self->smoothed);
    self->power = fmin(self->power, k_floor_bias * self->smoothed);
    if (++self->span_blocks < k_floor_span_blocks) return;

    self->minimum[self->next] = self->span_minimum;
    self->next = (self->next + 1) % AE_FLOOR_SPANS;
    if (self->filled < AE_FLOOR_SPANS) self->filled++;
    double lowest = self->minimum[0];
    for (int i = 1; i < self->filled; i++) lowest = fmin(lowest, self->minimum[i]);
    if (!(speech_probability > 0.5f)) self->power = k_floor_bias * lowest;
    self->span_minimum = self->smoothed;
    self->span_blocks = 0;
}

static void decide_speech(ae_speech_decision *self, const ae_noise_floor *floor,
                          float speech_probability)
{
    int speech = floor->smoothed > k_speech_over_floor * floor->power &&
                 ae_lufs_from_power(floor->smoothed) > k_speech_minimum_lufs;
    if (speech_probability >= 0.0f) {
        self->held_probability =
            speech_probability > self->held_probability
                ? speech_probability
                : self->held_probability +
                      k_probability_decay * (speech_probability - self->held_probability);
        if (self->held_probability < k_speech_probability) {
            speech = 0;
            self->hangover_blocks = 0;
        }
    }
    if (speech)
        self->hangover_blocks = k_hangover_blocks;
    else if (self->hangover_blocks > 0)
        self->hangover_blocks--;
    self->active =
        speech || (self->hangover_blocks > 0 && floor->smoothed > k_tail_over_floor * floor->power);
    self->pause_blocks = self->active ? 0 : self->pause_blocks + 1;
}

/* Mean square of the voice in the last 400 ms, 0 when it holds too little speech. */
static double window_power(ae_speech_window *self, double power, double noise, int active,
                           int *counts)
{
    self->energy[self->next] = power - noise;
    self->active[self->next] = (unsigned char)active;
    self->next = (self->next + 1) % AE_SPEECH_WINDOW_BLOCKS;
    if (self->filled > 0 || active) self->filled += self->filled < AE_SPEECH_WINDOW_BLOCKS;
    double sum = 0.0;
    int speech_blocks = 0;
    for (int i = 0; i < self->filled; i++) {
        const int at = (self->next + AE_SPEECH_WINDOW_BLOCKS - 1 - i) % AE_SPEECH_WINDOW_BLOCKS;
        sum += self->energy[at];
        speech_blocks += self->active[at];
    }
    *counts = speech_blocks >= k_window_active_minimum;
    if (self->filled == 0) return 0.0;
    const double mean = sum / self->filled;
    return fmax(mean, (1.0 - k_noise_share_maximum) * (mean + noise));
}

static float recent(const ae_level_track *self, int age)
{
    return self
        ->recent_lufs[(self->next + AE_SPEECH_RECENT_WINDOWS - 1 - age) % AE_SPEECH_RECENT_WINDOWS];
}

static double mean_over(const ae_level_track *self, int windows, float gate_lufs)
{
    double sum = 0.0;
    int count = 0;
    for (int i = 0; i < windows; i++) {
        const float l = recent(self, i);
        if (l <= gate_lufs) continue;
        sum += pow(10.0, 0.1 * ((double)l - k_lufs_offset_db));
        count++;
    }
    return count ? sum / count : 0.0;
}

static int count_over(const ae_level_track *self, int windows, float lufs)
{
    int count = 0;
    for (int i = 0; i < windows; i++) count += recent(self, i) > lufs;
    return count;
}

static void restart(ae_level_track *self, double power)
{
    self->power = power;
    self->windows = k_restart_windows;
    self->filled = 0;
}

static void track_level(ae_level_track *self, double power, double noise)
{
    const float lufs = ae_lufs_from_power(power);
    self->recent_lufs[self->next] = lufs;
    self->next = (self->next + 1) % AE_SPEECH_RECENT_WINDOWS;
    if (self->filled < AE_SPEECH_RECENT_WINDOWS) self->filled++;

    const float level = ae_lufs_from_power(self->power);
    if (self->filled >= k_up_windows &&
        (float)count_over(self, k_up_windows, level + k_up_lu) > k_up_share * (float)k_up_windows) {
        restart(self, mean_over(self, k_up_windows, level + k_up_lu));
        return;
    }
    if (self->filled >= k_down_windows &&
        count_over(self, k_down_windows, level - k_down_lu) == 0 &&
        count_over(self, k_down_windows, ae_lufs_from_power(noise) + k_down_snr_db) >
            k_down_windows / 2) {
        const float mean = ae_lufs_from_power(mean_over(self, k_down_windows, k_silence_lufs));
        restart(self, mean_over(self, k_down_windows, mean - k_gate_lu));
        return;
    }
    if (self->windows >= 30 && lufs < level - k_gate_lu) return;
    if (self->windows < k_memory_windows) self->windows++;
    double alpha = 1.0 / self->windows;
    if (self->filled >= k_follow_windows) {
        const double mean = mean_over(self, k_follow_windows, level - k_gate_lu);
        const float off = fabsf(ae_lufs_from_power(mean) - level);
        if (off > k_follow_free_lu) alpha *= (double)powf(off / k_follow_free_lu, k_follow_power);
    }
    self->power += fmin(alpha, 1.0) * (power - self->power);
}

void ae_speech_loudness_update(ae_speech_loudness *self, double power, float speech_probability)
{
    update_floor(&self->floor, power, speech_probability);
    decide_speech(&self->decision, &self->floor, speech_probability);
    int counts = 0;
    const double window =
        window_power(&self->window, power, self->floor.power, self->decision.active, &counts);
    if (counts && self->decision.active) track_level(&self->track, window, self->floor.power);
}

float ae_speech_loudness_lufs(const ae_speech_loudness *self)
{
    return self->track.windows > 0 ? ae_lufs_from_power(self->track.power) : k_silence_lufs;
}

float ae_speech_loudness_floor_lufs(const ae_speech_loudness *self)
{
    return ae_lufs_from_power(self->floor.power);
}
