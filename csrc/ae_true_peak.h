/* ae_true_peak.h - the peak of the waveform between the samples, from x4 interpolation.
 *
 * Method: ITU-R BS.1770-5 Annex 2 (oversample by four, take the largest magnitude), with 44 taps
 * per phase (sinc, Kaiser beta 5) instead of 12, and a parabola through each local maximum of the
 * x4 grid and its neighbours, because a peak can fall between the grid points. Error at a single
 * peak, worst phase (computed): -0.004 .. +0.011 dB to rate/4, -0.062 .. +0.023 dB to 0.45 rate;
 * the x4 grid alone is up to 0.17 and 0.56 dB low. The phases at 1/4 and 3/4 are mirror images, so
 * sums and differences of sample pairs serve both. Needs AE_TRUE_PEAK_MARGIN frames on either side.
 * Cost: 66 multiply-adds per sample. No state. */
#ifndef AE_TRUE_PEAK_H
#define AE_TRUE_PEAK_H

enum { AE_TRUE_PEAK_MARGIN = 22 }; /* half the interpolator, in frames */

typedef struct {
    float even[AE_TRUE_PEAK_MARGIN];   /* phases 1/4 and 3/4: weight of the pair's sum */
    float odd[AE_TRUE_PEAK_MARGIN];    /* and of its difference, opposite sign in 3/4 */
    float middle[AE_TRUE_PEAK_MARGIN]; /* phase 1/2 */
    float bound; /* no estimate is larger than this times the largest sample it is made of */
} ae_true_peak;

void ae_true_peak_init(ae_true_peak *self);
/* peak[n] = largest magnitude of the waveform from n up to n + 1, for n in 0 .. frames - 1.
 * Reads x[-AE_TRUE_PEAK_MARGIN] .. x[frames - 1 + AE_TRUE_PEAK_MARGIN]. Must not overlap. */
void ae_true_peak_envelope(const ae_true_peak *self, const float *x, int frames, float *peak);

#endif
