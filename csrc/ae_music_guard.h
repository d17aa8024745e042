/* ae_music_guard.h - says whether music plays, and which bins its steady tones are in.
 *
 * Method: music is told by tones that hold their frequency (Seyerlehner, Pohle, Schedl & Widmer
 * 2007, "Automatic music detection in television productions": continuous frequency activation).
 * Different from the paper: a bin counts as steady where the phase advance over 30 ms, a time in
 * which the analysis windows no longer overlap, stays the same for some 120 ms; that tells 2 Hz of
 * glide at 31 Hz resolution, so a voice's harmonics above 375 Hz hardly ever pass. A tone is a note
 * only if it begins while we listen (8 dB up within 0.3 s) and for 3 s after that, and notes must
 * begin at several moments: hum, fans and whistles are steady but start once.
 * Score = notes that sound at once (up to 4), smoothed: up in 1 s, down in 3 s; hysteresis.
 * A voice alone that sings does not count: it glides and trembles as speech does.
 * Thread: audio, no allocation after create. Cost: one square root and one division per bin. */
#ifndef AE_MUSIC_GUARD_H
#define AE_MUSIC_GUARD_H

#include "ae_common.h"

typedef struct {
    int bins;     /* 32 .. 65536 */
    float bin_hz; /* distance of the bins */
    float hop_ms; /* 5 .. 20 */
} ae_music_guard_config;

typedef struct ae_music_guard ae_music_guard;

ae_status ae_music_guard_create(ae_music_guard **out, const ae_music_guard_config *config);
void ae_music_guard_destroy(ae_music_guard *self);
void ae_music_guard_reset(ae_music_guard *self);
/* One hop: the spectrum, [bins] each; power_scale: |X|^2 to power. echo_gain [bins]: where it is
 * low the far end plays, whose music is none of ours; or NULL. */
void ae_music_guard_update(ae_music_guard *self, const float *re, const float *im,
                           float power_scale, const float *echo_gain);
int ae_music_guard_music(const ae_music_guard *self);          /* 1: music plays */
float ae_music_guard_presence(const ae_music_guard *self);     /* the same, faded over a second */
float ae_music_guard_score(const ae_music_guard *self);        /* 0 .. 4 notes at once */
const float *ae_music_guard_tones(const ae_music_guard *self); /* [bins] 1: a steady tone, 0: not */

#endif
