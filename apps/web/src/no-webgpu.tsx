/** What a visitor without WebGPU sees: which browsers work, and what the page would have shown. */
import example from './example.mp4';

export function NoWebGpu() {
  return (
    <main class="no-webgpu">
      <h1>Dexterous world model</h1>
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
      <h2>What it does</h2>
      <figure class="pane">
        <figcaption>
          <span>A recorded run: scene, hands, generated</span>
        </figcaption>
        <video
          src={example}
          controls
          loop
          muted
          autoplay
          playsinline
          aria-label="Scene, hands and generated video side by side"
        />
      </figure>
    </main>
  );
}
