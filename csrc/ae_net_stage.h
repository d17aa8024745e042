/* ae_net_stage.h - the learned part of the suppressor: a mask net on what the classical stages
 * leave, inside the same short-time spectrum, so it adds no delay.
 *
 * There are up to two nets, tier 1 (small) and tier 2 (large), of which one runs at a time; tier 0
 * is none. A net that is switched on listens from reset for 0.3 s before it is faded in, one that
 * is switched off is faded out first; between two nets there is a moment without. After create and
 * reset the configured tier works from the first hop on. One net hears all channels: powers are
 * their mean, phases those of their sum; gains and filters are the same for each, so the stereo
 * picture stays. Latency: none of its own. Thread: audio; no allocation after create. */
#ifndef AE_NET_STAGE_H
#define AE_NET_STAGE_H

#include "ae_net_model.h"

typedef struct {
    int sample_rate_hz; /* 8000 .. 96000 */
    int channels;       /* 1 .. 8 */
    int hop_frames;     /* of the suppressor's ae_stft: 10 ms */
    int fft_size;
    float power_scale; /* 0 < .. 1: |re + i im|^2, summed over channels, to power */
    const ae_net_model *small_model, *large_model; /* NULL: not there */
    int tier; /* 0 .. 2; one that is not there is the next lower that is */
} ae_net_stage_config;

/* One hop. bins = fft_size / 2 + 1. */
typedef struct {
    float *const *re; /* [channels][bins]: behind the classical gain; changed */
    float *const *im;
    const float *power; /* [bins]: mean of the channels before the classical gain */
    const float *gain;  /* [bins]: the classical gain that was applied */
    /* [bins]: the echo stage's whole gain, by which the limit goes down further; NULL: no echo */
    const float *echo_gain;
    const float *echo_power, *far_power; /* [bins], in the scale of power, or NULL: none */
    float music;                         /* 0 .. 1: so far a net leaves the sound as it is */
} ae_net_stage_hop;

typedef struct {
    int tier;                 /* whose net is heard: 0 (none), 1, 2 */
    float share;              /* 0 .. 1: how much of its work is in the output */
    float speech_probability; /* 0 .. 1, of that net; 0 without one */
} ae_net_stage_report;

typedef struct ae_net_stage ae_net_stage;

ae_status ae_net_stage_create(ae_net_stage **out, const ae_net_stage_config *config);
void ae_net_stage_destroy(ae_net_stage *self);
/* As newly created, with the tier as last set. */
void ae_net_stage_reset(ae_net_stage *self);
/* attenuation_db, 0 .. 40: classical gain x net's gain goes no lower than that, and than echo_gain,
 * together; with 0 nothing changes where there is no echo; at 40 the limit is 60. gain: the net's,
 * [bins], share and limit worked in; already applied. */
void ae_net_stage_process(ae_net_stage *self, const ae_net_stage_hop *hop, float attenuation_db,
                          float *gain);
void ae_net_stage_set_tier(ae_net_stage *self, int tier);
void ae_net_stage_read(const ae_net_stage *self, ae_net_stage_report *out);

#endif
