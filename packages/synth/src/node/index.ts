export { listLine, SPLITS, type Split, seedIsDone } from './clip-files.ts';
export type { DatasetOptions, DatasetProgress, DatasetReport, EachSeed } from './dataset-options.ts';
export { ClipMaker, type ClipRequest, type ClipResult, readStateLog } from './make-clip.ts';
export { type FilePart, readParts } from './read-parts.ts';
export { writeGifSheet, writeSheet } from './sheet.ts';
export type { FrameState, ObjectState, StateLog } from './state-log.ts';
export { writeDataset } from './write-dataset.ts';
