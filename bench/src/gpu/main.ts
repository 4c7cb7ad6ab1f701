/** `npm run gpu`: what this device is, whether it computes rightly, and how fast it is, in two files to send. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openNodeDevice, writeFileAtomic } from '@dwm/core-tensor/node';
import { hasGoldenCases, REPOSITORY_GOLDEN } from './golden.ts';
import { reportName, reportPage } from './report.ts';
import { runReport } from './run.ts';

const HELP = `npm run gpu -- [options]

  --out DIR         where dwm-report-<device>.json and .md go (.)
  --budget SECONDS  after which nothing more is begun (360)
  --golden DIR      folder of golden cases, for a bundle of this program (packages/dwm-model/tests/golden)

Golden cases of the original code run in every precision, then kernels at the 5B model's sizes, a block of its
transformer and its denoising forward, smaller where the device is slow.
DWM_ADAPTER=lavapipe or swiftshader takes that adapter.`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: '.' },
      budget: { type: 'string', default: '360' },
      golden: { type: 'string', default: REPOSITORY_GOLDEN },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const budget = Number(values.budget);
  if (!(budget > 0)) throw new Error(`--budget: expected a number of seconds above 0, got ${values.budget}`);
  if (!hasGoldenCases(values.golden))
    throw new Error(`--golden ${values.golden}: expected a folder that holds pipeline_e2e and t5`);
  await mkdir(values.out, { recursive: true });
  const device = await openNodeDevice();
  try {
    console.error(device.caps.adapter.description || device.caps.adapter.device);
    const result = await runReport(device, {
      golden: values.golden,
      budget,
      progress: (line) => console.error(line),
    });
    const path = join(values.out, reportName(result));
    await writeFileAtomic(`${path}.json`, `${JSON.stringify(result, undefined, 1)}\n`);
    await writeFileAtomic(`${path}.md`, reportPage(result));
    console.log(`${reportPage(result)}\n${path}.json\n${path}.md`);
    return result.golden.some(({ passed, worst }) => worst && !passed) ? 1 : 0;
  } finally {
    device.destroy();
  }
}

try {
  process.exit(await main());
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
