/**
 * The weights of the networks that find hands, as files of the build: those of the npm package
 * `@svenflow/micro-handpose`, which is optional. `@dwm/hands` says what they are.
 */
import type { HandWeights, WeightFiles } from '@dwm/hands';

const files = import.meta.glob<string>(
  '../../../../node_modules/@svenflow/micro-handpose/weights/{palm_detection_weights,weights_f16_full}.{json,bin}',
  { eager: true, exhaustive: true, query: '?url', import: 'default' },
);

const addressOf = (file: string) => Object.entries(files).find(([path]) => path.endsWith(`/${file}`))?.[1];

const PALM = 'palm_detection_weights';
const LANDMARKS = 'weights_f16_full';

/** Whether the build has them. */
export const HAS_HAND_WEIGHTS = [PALM, LANDMARKS].every(
  (stem) => addressOf(`${stem}.json`) && addressOf(`${stem}.bin`),
);

/** @throws Error in one line where the page's server does not give them. */
export async function fetchHandWeights(signal: AbortSignal): Promise<HandWeights> {
  const fetched = async (file: string): Promise<Response> => {
    const answer = await fetch(addressOf(file)!, { signal });
    if (answer.ok) return answer;
    throw new Error(`${file}: the page's server answers ${answer.status}; load the page anew`);
  };
  const network = async (stem: string): Promise<WeightFiles> => {
    const [json, bytes] = await Promise.all([fetched(`${stem}.json`), fetched(`${stem}.bin`)]);
    return {
      name: `${stem}.json`,
      json: await json.text(),
      bytes: new Uint8Array(await bytes.arrayBuffer()),
    };
  };
  const [palm, landmarks] = await Promise.all([PALM, LANDMARKS].map(network));
  return { palm, landmarks };
}
