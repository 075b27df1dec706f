/** PostgreSQL's channel on which servers of one store hear of its changes. */
export const ACCESS_CHANNEL = 'mcp_crypto_data_access';
