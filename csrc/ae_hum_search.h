/* ae_hum_search.h - finds mains hum: steady lines at the multiples of a base near 50 or 60 Hz.
 *
 * Method: the bin nearest to each of the first 12 multiples of 50 and 60 Hz is turned back by that
 * frequency and averaged over 120 ms. The last 16 averages of a line say, for every base within
 * 0.3 Hz, how coherent they are: |sum|^2 / (16 x sum of squares), 1 for a steady sine, 1/16 in the
 * mean for noise; averages louder than the median are cut down to it first, so that speech now and
 * then does not hide a line. Hum needs two steady lines, one of them low, at the same base twice
 * in a row. A voice's and an instrument's tones are steady for less than 2 s, or lie elsewhere.
 * Thread: audio, no allocation after create. Cost: 24 complex multiplications per hop, and 8000
 * every 0.5 s. */
#ifndef AE_HUM_SEARCH_H
#define AE_HUM_SEARCH_H

#include "ae_common.h"

typedef struct {
    int bins;     /* 32 .. 65536 */
    float bin_hz; /* distance of the bins, 10 .. 60 */
    float hop_s;  /* exact; 0.005 .. 0.02 */
} ae_hum_search_config;

typedef struct ae_hum_search ae_hum_search;

ae_status ae_hum_search_create(ae_hum_search **out, const ae_hum_search_config *config);
void ae_hum_search_destroy(ae_hum_search *self);
void ae_hum_search_reset(ae_hum_search *self);
/* One hop's spectrum, [bins]. Returns the base in Hz (to 0.05) in the hop that finds hum, else 0.
 */
float ae_hum_search_update(ae_hum_search *self, const float *re, const float *im);
/* The newest coherences of the best base of 50 (0) or 60 Hz (1): the sum above chance. */
float ae_hum_search_score(const ae_hum_search *self, int mains);

#endif
