/** The page: the app, or, where there is no WebGPU, what to use instead with a recording. */
import { createSignal, Show } from 'solid-js';
import { render } from 'solid-js/web';
import { App } from './app.tsx';
import { type Missing, NoWebGpu } from './no-webgpu.tsx';
import './style.css';

// Nothing waits for the answer: a recording plays from the first picture on.
const [missing, setMissing] = createSignal<Missing>();
if (!isSecureContext) setMissing('https');
else if (!('gpu' in navigator)) setMissing('webgpu');
else
  navigator.gpu.requestAdapter().then(
    (adapter) => adapter ?? setMissing('adapter'),
    () => setMissing('adapter'),
  );
render(
  () => (
    <Show when={missing()} fallback={<App />}>
      {(what) => <NoWebGpu missing={what()} />}
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
