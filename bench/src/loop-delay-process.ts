/**
 * Loaded into a server before its own program (`node --import`): measures the delay of its event
 * loop and tells it over the channel to the bench. The channel keeps nothing alive.
 */
import { LoopDelayMeter } from "./loop-delay.ts";

const meter = new LoopDelayMeter();

process.on("message", (asked) => {
  if (asked === "reset") meter.reset();
  process.send?.(meter.sample(), undefined, undefined, () => {});
});
process.channel?.unref();
