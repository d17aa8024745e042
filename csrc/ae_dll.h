/* ae_dll.h - when a device really had its frames: the clock behind jittered wake-ups.
 *
 * Method: second-order delay-locked loop (Adriaensen, "Using a DLL to filter time", 2005): a line
 * through (frame count, time) whose phase and slope are corrected by the error of each prediction.
 * Different from the paper:
 * - A thread is woken late and never early, so the error is not taken from each wake-up but from
 *   the earliest eighth of a group of them. The line is the lower edge of the wake-ups: load on
 *   the machine, wake-ups in pairs and stalls hardly move it, and what is left above it, the
 *   lateness, says how much buffer a reader needs.
 * - The bandwidth starts at 0.5 Hz and falls as 0.41 / (time + 0.8 s) down to 0.005 Hz, the gains
 *   of a straight-line fit over all that was seen: what 0.05 Hz leaves of 1 ms of jitter would
 *   wander by several samples. In the first second only the phase is looked for, by the earliest
 *   wake-ups of all: the slope could not be told from the jitter.
 * - After a stall the next wake-ups are looked at closely: if they are late too, the device has
 * lost frames, and the line steps to them with the slope kept.
 *
 * Units: seconds of CLOCK_MONOTONIC (the caller's), frames of the device.
 * Cost: some 20 operations per wake-up. Thread: one; no allocation after create. A process killed
 * inside ae_dll_update leaves numbers that ae_dll_restart makes whole. */
#ifndef AE_DLL_H
#define AE_DLL_H

#include "ae_common.h"

typedef struct ae_dll ae_dll;
typedef struct {
    int rate_hz; /* nominal, 8000 .. 192000 */
} ae_dll_config;

typedef struct {
    double rate_ppm; /* the device's rate over the nominal one, by the caller's clock; > 0: fast */
    double jitter_s; /* 1 sigma of the lateness of wake-ups over some seconds, stalls left out */
    double lateness_s; /* what all but two wake-ups (five, where later than 5 ms) of each 10 s
                        * stayed below, in the last 10 .. 20 s */
    int ready;     /* 0/1: the phase is known to a fraction of the jitter (0.2 s or 12 wake-ups) */
    int settled;   /* 0/1: ready, and not looking at what a stall has left */
    int locked;    /* 0/1: the slope is known too (3 s) */
    int64_t steps; /* times that the line had to step */
} ae_dll_report;

ae_status ae_dll_create(ae_dll **out, const ae_dll_config *config);
/* The thread woke at now_s, and the device had then moved `frames` frames in all (growing; any
 * start, kept from wake-up to wake-up). */
void ae_dll_update(ae_dll *self, double now_s, int64_t frames);
/* The line: how many frames there were at a time, and when there were so many. */
double ae_dll_frames_at(const ae_dll *self, double time_s);
double ae_dll_time_of(const ae_dll *self, double frames);
/* Forget the phase but keep the slope as a first guess: the same device is opened again. */
void ae_dll_restart(ae_dll *self);
void ae_dll_reset(ae_dll *self); /* forget the slope too */
void ae_dll_read(const ae_dll *self, ae_dll_report *out);
void ae_dll_destroy(ae_dll *self);

#endif
