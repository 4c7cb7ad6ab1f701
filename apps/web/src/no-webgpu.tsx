/** What a visitor without WebGPU sees: what is missing, what to do about it, and what the page would have shown. */
import { Recording } from './gallery/recording.tsx';

export type Missing = 'https' | 'webgpu' | 'adapter';

const SENTENCES: Readonly<Record<Missing, string>> = {
  https:
    'The model runs on WebGPU, which browsers keep for pages that come over https: open this page at an address that begins with https.',
  webgpu:
    'This browser has no WebGPU, which the model runs on: open this page in one of the browsers below, or update this one.',
  adapter:
    "This browser finds no graphics processor to run the model on: switch on hardware acceleration in the browser's settings, or update the graphics driver.",
};

export function NoWebGpu(props: { missing: Missing }) {
  return (
    <main class="no-webgpu">
      <h1>Dexterous World Model</h1>
      <p class="error" role="alert">
        {SENTENCES[props.missing]}
      </p>
      <figure class="pane">
        <Recording seed={undefined} label="A recording: what the model drew of a hand that pulls a drawer" />
        <figcaption>A recording: a hand pulls a drawer, and the model draws what comes of it</figcaption>
      </figure>
      <h2>Browsers that work</h2>
      <ul>
        <li>
          Chrome and Edge 121 or later on Windows, macOS, ChromeOS and Android; on Linux, 144 or later with a
          graphics driver
        </li>
        <li>Safari 26 or later on macOS, iOS, iPadOS and visionOS</li>
        <li>Firefox 141 or later on Windows, 145 or later on macOS with Apple silicon</li>
      </ul>
    </main>
  );
}
