/** The commands. One row a command, in the order that help shows them. */
import type { CommandEntry } from './command.ts'

export const commands: readonly CommandEntry[] = [
  {
    name: 'serve',
    about: 'run the server',
    load: async () => (await import('./serve-command.ts')).serveCommand,
  },
  {
    name: 'config',
    about: 'check and print the settings',
    load: async () => (await import('./config-command.ts')).configCommand,
  },
  {
    name: 'migrate',
    about: 'the database schema',
    load: async () => (await import('./migrate-command.ts')).migrateCommand,
  },
  {
    name: 'user',
    about: 'people who sign in',
    load: async () => (await import('./user-command.ts')).userCommand,
  },
  {
    name: 'group',
    about: 'groups of people',
    load: async () => (await import('./group-command.ts')).groupCommand,
  },
  {
    name: 'client',
    about: 'apps that people sign in to',
    load: async () => (await import('./client-command.ts')).clientCommand,
  },
  {
    name: 'resource',
    about: 'APIs that access tokens are for',
    load: async () => (await import('./resource-command.ts')).resourceCommand,
  },
  { name: 'keys', about: 'signing keys', load: async () => (await import('./keys-command.ts')).keysCommand },
  {
    name: 'session',
    about: 'who is signed in where',
    load: async () => (await import('./session-command.ts')).sessionCommand,
  },
  {
    name: 'outbox',
    about: 'deliveries to apps and people',
    load: async () => (await import('./outbox-command.ts')).outboxCommand,
  },
  {
    name: 'audit',
    about: 'who did what',
    load: async () => (await import('./audit-command.ts')).auditCommand,
  },
  {
    name: 'healthcheck',
    about: 'ask the running server whether it is ready',
    load: async () => (await import('./healthcheck-command.ts')).healthcheckCommand,
  },
  {
    name: 'version',
    about: 'print the version',
    load: async () => (await import('./version-command.ts')).versionCommand,
  },
]
