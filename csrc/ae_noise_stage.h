/* ae_noise_stage.h - what is done about noise and late reverberation, inside the suppressor's
 * short-time spectrum: one gain per bin, and how likely speech is.
 *
 * Per hop, on spectral points, from the mean power of all channels, so the stereo picture stays:
 *   ae_spectral_points  every bin to 8 kHz, third octaves above
 *   ae_transients       takes key strokes and clicks out before anything learns from them
 *   ae_music_guard      where music plays, less is taken and its tones are not learned as noise
 *   ae_late_reverb      late reverberation, as noise of a kind that no noise estimate may learn
 *   ae_noise_psd        noise power (speech-presence-probability MMSE tracker)
 *   ae_cepstral_snr     speech power smoothed in the cepstrum, and the pitch
 *   ae_speech_presence  how likely speech is, from all of these
 *   ae_speech_gain      a priori SNR and log-spectral amplitude gain
 *   ae_musical_noise    smooths that gain where hardly anything is left
 *   ae_rumble           what lies below the voice goes, whatever the noise estimate says
 * Beside the echo stage it hears by that one's gain what is echo, and learns nothing from it.
 * Latency: none of its own. Thread: audio; no allocation after create. */
#ifndef AE_NOISE_STAGE_H
#define AE_NOISE_STAGE_H

#include "ae_common.h"

typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int channels;       /* 1 .. 8 */
    int hop_frames;     /* of the suppressor's ae_stft: 10 ms */
    int fft_size;
    float power_scale;          /* 0 < .. 1: |re + i im|^2, summed over channels, to power */
    int suppress;               /* 0, 1; 0 only tracks the noise: gain 1, no speech probability */
    float attenuation_limit_db; /* 0 .. 40 */
    float dereverb;             /* 0 .. 1: strength of late-reverberation removal */
    int transients;             /* 0, 1: take key strokes, clicks and taps away */
    int music_guard;            /* 0, 1: where music plays, hold the attenuation at 6 dB */
} ae_noise_stage_config;

/* One hop. bins = fft_size / 2 + 1. */
typedef struct {
    const float *const *samples; /* [channels][hop_frames]: the newest, in time */
    float *const *re; /* [channels][bins]: of the window that ends with them; only read */
    float *const *im;
    const float *power; /* [bins]: mean of the channels; white noise of power 1 has 1 in each */
    /* The echo stage's gain and the share of the power, 0 .. 1, that it and the echo filter's last
     * learning step take, [bins] each; both NULL: no echo in this hop. */
    const float *echo_gain, *echo_share;
    float near_end_presence; /* 0 (echo alone) .. 1 (a near end, or no echo) */
} ae_noise_hop;

typedef struct {
    float level_dbfs;         /* of the noise estimate, all frequencies */
    float reduction_db;       /* what the gain takes off it, >= 0, last 300 ms */
    float speech_probability; /* 0 .. 1 */
    float reverb_time_s;      /* T60; 0: not known or dry */
    int music;                /* 1: music plays; 0 where the guard is off */
    uint32_t transient_count; /* taken away since reset */
} ae_noise_stage_report;

typedef struct ae_noise_stage ae_noise_stage;

ae_status ae_noise_stage_create(ae_noise_stage **out, const ae_noise_stage_config *config);
void ae_noise_stage_destroy(ae_noise_stage *self);
void ae_noise_stage_reset(ae_noise_stage *self);
void ae_noise_stage_set_attenuation_limit_db(ae_noise_stage *self, float attenuation_limit_db);
/* The most of the limit that this stage's gain does itself, where another goes on behind it; after
 * create: all of it. */
void ae_noise_stage_set_own_limit_db(ae_noise_stage *self, float own_limit_db);
void ae_noise_stage_set_dereverb(ae_noise_stage *self, float dereverb);
void ae_noise_stage_set_transients(ae_noise_stage *self, int transients);
void ae_noise_stage_set_music_guard(ae_noise_stage *self, int music_guard);
/* gain: amplitude ratios 0 .. 1, [bins], to be applied by the caller; overlaps nothing in hop. */
void ae_noise_stage_update(ae_noise_stage *self, const ae_noise_hop *hop, float *gain);
/* The noise estimate, [bins], in the scale of the hop's power. */
void ae_noise_stage_power(const ae_noise_stage *self, float *power);
/* How far noise is turned down just now, by this stage and what goes on behind it: the limit,
 * ramped. */
float ae_noise_stage_attenuation_db(const ae_noise_stage *self);
/* 0 .. 1: how sure it is that music plays; 0 with the music guard off. */
float ae_noise_stage_music(const ae_noise_stage *self);
void ae_noise_stage_read(const ae_noise_stage *self, ae_noise_stage_report *out);

#endif
