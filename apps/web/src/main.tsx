/** The page: the app, or, where there is no WebGPU, what to use instead with a recording. */
import { createSignal, Show } from 'solid-js';
import { render } from 'solid-js/web';
import { App } from './app.tsx';
import { NoWebGpu } from './no-webgpu.tsx';
import './style.css';

async function hasWebGpu(): Promise<boolean> {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return adapter !== null && adapter !== undefined;
}

// Nothing waits for the answer: a recording plays from the first picture on.
const [supported, setSupported] = createSignal('gpu' in navigator);
if (supported()) void hasWebGpu().then(setSupported);
render(
  () => (
    <Show when={supported()} fallback={<NoWebGpu />}>
      <App />
    </Show>
  ),
  document.getElementById('app')!,
);
// A link that is pasted into the address of an open page loads nothing by itself.
addEventListener('hashchange', () => location.reload());
// The files that a visit needs are kept once they are there, when nothing waits for the network any more.
if (import.meta.env.PROD && 'serviceWorker' in navigator)
  addEventListener('load', () =>
    setTimeout(async () => {
      try {
        await navigator.serviceWorker.register('service-worker.js');
      } catch (error) {
        console.warn(`The page will not open without a network: ${error}`);
      }
    }, 3000),
  );
