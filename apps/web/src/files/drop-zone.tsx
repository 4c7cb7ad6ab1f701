/** The whole page takes files. */
import { createSignal, type JSX } from 'solid-js';
import { droppedFiles } from '../model-store/dropped.ts';
import type { Session } from '../state/session.ts';
import { takeIn } from './take-in.ts';

export function DropZone(props: { session: Session; children: JSX.Element }) {
  const [over, setOver] = createSignal(false);
  const isFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the file fields do the same by keyboard
    <div
      class="page"
      classList={{ over: over() }}
      onDragOver={(event) => {
        if (!isFiles(event)) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={(event) => {
        if (event.relatedTarget === null) setOver(false);
      }}
      onDrop={async (event) => {
        if (!event.dataTransfer || !isFiles(event)) return;
        event.preventDefault();
        setOver(false);
        await takeIn(props.session, await droppedFiles(event.dataTransfer));
      }}
    >
      {props.children}
    </div>
  );
}
