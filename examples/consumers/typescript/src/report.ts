/** Answers {"provider": …, "room": …} with the room's attendance. */
import { attendance, type Row } from './attendance.js';
import { ofRoom } from './facts.js';

export async function handler({ provider, room }: { provider: string; room: string }): Promise<Row[]> {
  return attendance(await ofRoom(provider, room));
}
