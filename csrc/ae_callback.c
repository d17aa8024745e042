#include "ae_callback.h"

#include "ae_host.h"

/* PortAudio's PaStreamCallbackTimeInfo and status bits (portaudio.h, version 19). */
typedef struct {
    double input_adc_s;
    double current_s;
    double output_dac_s;
} ae_time_info;

enum {
    k_input_underflow = 1,
    k_input_overflow = 2,
    k_output_underflow = 4,
    k_output_overflow = 8,
    k_priming = 16,
};

static const double k_longest_delay_s = 2.0; /* a host that says more has no clock */
static const double k_smoothing = 0.02;      /* per callback: half a second of 10 ms blocks */

void ae_callback_open(ae_callback *self, double buffer_s, int wants_priority)
{
    self->wants_priority = wants_priority;
    self->buffer_s = buffer_s;
    self->last_s = 0.0;
    self->report.input_delay_s = 0.0;
    self->report.output_delay_s = 0.0;
}

static int count_flags(ae_callback_report *report, unsigned long flags)
{
    if (flags & k_priming) return 0; /* the device's buffer is being filled before the start */
    report->input_underflows += (flags & k_input_underflow) != 0;
    report->input_overflows += (flags & k_input_overflow) != 0;
    report->output_underflows += (flags & k_output_underflow) != 0;
    report->output_overflows += (flags & k_output_overflow) != 0;
    return (flags &
            (k_input_underflow | k_input_overflow | k_output_underflow | k_output_overflow)) != 0;
}

static void follow(double *delay_s, double seen_s)
{
    if (!(seen_s > 0.0 && seen_s < k_longest_delay_s)) return;
    *delay_s = *delay_s == 0.0 ? seen_s : *delay_s + k_smoothing * (seen_s - *delay_s);
}

int ae_callback_enter(ae_callback *self, double now_s, unsigned long frames, const void *time_info,
                      unsigned long flags)
{
    ae_callback_report *report = &self->report;
    const int is_first = self->last_s == 0.0;
    if (is_first) report->priority = self->wants_priority ? ae_host_raise_priority() : 0;
    const int is_late = !is_first && now_s - self->last_s > self->buffer_s;
    self->last_s = now_s;
    report->late_callbacks += is_late;
    report->callbacks++;
    report->frames += (int64_t)frames;
    if (time_info != NULL) {
        const ae_time_info *time = time_info;
        follow(&report->input_delay_s, time->current_s - time->input_adc_s);
        follow(&report->output_delay_s, time->output_dac_s - time->current_s);
    }
    const int is_flagged = count_flags(report, flags);
    return (is_late ? AE_CALLBACK_LATE : 0) | (is_flagged ? AE_CALLBACK_FLAGGED : 0);
}
