/* ae_capture_port.h - a capture device with a clock of its own: its callback, and the bridge
 * behind.
 *
 * The callback maps the device's channels to the engine's and writes them into an ae_clock_bridge,
 * from which the callback that runs the graph reads at its own pace.
 * Latency and cost: the bridge's. Thread: callback on the device's thread, open and read on the
 * control thread; nothing is allocated after create. */
#ifndef AE_CAPTURE_PORT_H
#define AE_CAPTURE_PORT_H

#include "ae_callback.h"
#include "ae_clock_bridge.h"

/* ffi:begin */
typedef struct ae_capture_port ae_capture_port;
ae_status ae_capture_port_create(ae_capture_port **out, const ae_clock_bridge_config *config);
void ae_capture_port_destroy(ae_capture_port *self);
/* A device with so many channels and so long a buffer is going to call; no callback runs now. */
void ae_capture_port_open(ae_capture_port *self, int device_channels, double buffer_s);
/* PortAudio's callback; `user` is the port. */
int ae_capture_port_callback(const void *in, void *out, unsigned long frames, const void *time_info,
                             unsigned long flags, void *user);
void ae_capture_port_read(ae_capture_port *self, ae_callback_report *out);
ae_clock_bridge *ae_capture_port_bridge(ae_capture_port *self);
/* ffi:end */

#endif
