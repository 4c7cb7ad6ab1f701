/** What a visitor without WebGPU sees: which browsers work, and what the page would have shown. */
import { Recording } from './gallery/recording.tsx';

export function NoWebGpu() {
  return (
    <main class="no-webgpu">
      <h1>Dexterous World Model</h1>
      <figure class="pane">
        <Recording seed={undefined} label="A recording: what the model drew of a hand that pulls a drawer" />
        <figcaption>A hand takes a drawer, and the model draws what comes of it</figcaption>
      </figure>
      <p role="alert">
        This browser has no WebGPU here, and the world model runs on nothing else: every picture is computed
        on your own graphics processor.
      </p>
      <h2>Browsers that work</h2>
      <ul>
        <li>
          Chrome and Edge 121 or later on Windows, macOS, ChromeOS and Android; on Linux, 144 or later with a
          GPU driver
        </li>
        <li>Safari 26 or later on macOS, iOS, iPadOS and visionOS</li>
        <li>Firefox 141 or later on Windows, 145 or later on macOS with Apple silicon</li>
      </ul>
      <p>
        If yours is one of them, open the page over https or on localhost, switch on hardware acceleration in
        the browser's settings, and update the graphics driver.
      </p>
    </main>
  );
}
