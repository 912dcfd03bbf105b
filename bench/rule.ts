/** The rule that a flow must keep (docs: README.md), and the design's own measurement of floor and peer, which shows whether the floor is one. */
import type { TargetName } from './target.ts'

/** Each flow costs at most this many times its floor. */
export const atMostOfFloor = 1.5

type Limit = { ofPeer?: number; design?: readonly [floor: number, peer: number] }

const limits: Readonly<Record<string, Limit>> = {
  authorize: { ofPeer: 1 / 4, design: [111, 651] },
  'code-es256': { ofPeer: 1 / 3, design: [318, 1807] },
  'code-rs256': { ofPeer: 1 / 2, design: [612, 2039] },
  'refresh-es256': { ofPeer: 1 / 3, design: [160, 942] },
  'refresh-rs256': { ofPeer: 0.6, design: [421, 1087] },
  'client-credentials': { ofPeer: 0.8, design: [109, 187] },
  'introspection-first': { design: [155, 182] },
  introspection: { ofPeer: 0.6 },
  'userinfo-first': { design: [132, 148] },
  userinfo: { ofPeer: 0.6 },
  discovery: { ofPeer: 0.8, design: [43, 73] },
  jwks: { ofPeer: 1, design: [32, 43] },
}

export type Costs = Partial<Record<TargetName, number>>
export type Verdict = {
  ofFloor?: number
  ofPeer?: number
  mostOfPeer?: number
  floorOfPeer?: number
  designFloorOfPeer?: number
  holds?: boolean
}

export function judge(scenario: string, { floor, lintel, peer }: Costs): Verdict {
  const { ofPeer: mostOfPeer, design } = limits[scenario] ?? {}
  const ofFloor = lintel && floor && lintel / floor
  const ofPeer = lintel && peer && lintel / peer
  const floorOfPeer = floor && peer && floor / peer
  return {
    ...(mostOfPeer && { mostOfPeer }),
    ...(design && { designFloorOfPeer: design[0] / design[1] }),
    ...(floorOfPeer && { floorOfPeer }),
    ...(ofFloor && { ofFloor }),
    ...(ofPeer && { ofPeer }),
    ...(ofFloor && { holds: ofFloor <= atMostOfFloor && !(mostOfPeer && ofPeer && ofPeer > mostOfPeer) }),
  }
}

/**
 * The server as a whole: start in seconds, idle memory in megabytes, `/token` p99 in a login storm against the quiet one, a flow
 * on full tables against the same on nearly empty ones.
 */
export const atMost = { startSeconds: 1, idleMegabytes: 100, stormTimes: 3, growthTimes: 1.2 } as const
