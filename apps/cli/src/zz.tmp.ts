import { contactSheet, readVideo, writePng } from '@dwm/media/node';
import { readdirSync } from 'node:fs';
const dir='/work/shared/realworld/videos_hands'; const f=readdirSync(dir)[0];
const rows=[{label:'ours: static',frames:await readVideo('/tmp/clih/r1/videos_static/reach.mp4')},{label:'ours: hands',frames:await readVideo('/tmp/clih/r1/videos_hands/reach.mp4')},{label:'realworld static',frames:await readVideo(dir.replace('hands','static')+'/'+f)},{label:'realworld hands',frames:await readVideo(dir+'/'+f)}];
await writePng('/tmp/clih/beside.png',contactSheet(rows,{columns:6,cellWidth:240})); process.exit(0);
