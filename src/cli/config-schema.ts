/** The JSON Schema of the YAML file, for editors that complete and check it. */
import { z } from 'zod'
import { type SettingEntry, settingEntries } from '../config/settings.ts'
import { inSections } from './config-view.ts'

/** What may be written; how it is read on (a duration, an address) only its words can say. */
const memberOf = ({ setting, env }: SettingEntry): object => {
  const { $schema: _, ...schema } = z.toJSONSchema(setting.schema, { io: 'input', unrepresentable: 'any' })
  return { ...schema, description: `${setting.about} (${setting.form}); ${env}` }
}

const fileMember = ({ setting, env }: SettingEntry): object => ({
  type: 'string',
  description: `A file that holds it: ${setting.about}; ${env}_FILE`,
})

const objectOf = (properties: Record<string, object>): object => ({
  type: 'object',
  properties,
  additionalProperties: false,
})

/** The schema (draft 2020-12). */
export const configSchema = (): object => {
  const members = settingEntries.flatMap(entry => [
    [entry.file, memberOf(entry)] as const,
    ...(entry.setting.secret ? [[`${entry.file}_file`, fileMember(entry)] as const] : []),
  ])
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Settings of Lintel',
    ...objectOf(inSections(members, objectOf)),
  }
}
