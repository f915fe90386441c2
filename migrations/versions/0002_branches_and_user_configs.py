"""branches and user configs

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op


revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('user_configs',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('owner_id', sa.String(length=64), nullable=False),
    sa.Column('user_identifier', sa.String(length=128), nullable=False),
    sa.Column('current_model_type', sa.String(length=64), nullable=False),
    sa.Column('max_tokens', sa.Integer(), nullable=True),
    sa.Column('custom_api_url', sa.String(length=2000), nullable=False),
    sa.Column('custom_model', sa.String(length=200), nullable=False),
    sa.Column('custom_api_key', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['owner_id'], ['owners.id'], name=op.f('fk_user_configs_owner_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_user_configs')),
    sa.UniqueConstraint('owner_id', 'user_identifier', name=op.f('uq_user_configs_owner_id_user_identifier'))
    )
    with op.batch_alter_table('messages', schema=None) as batch_op:
        batch_op.add_column(sa.Column('parent_id', sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column('active', sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(sa.Column('client_id', sa.String(length=128), nullable=False, server_default=''))
    with op.batch_alter_table('conversations', schema=None) as batch_op:
        batch_op.add_column(sa.Column('head_id', sa.String(length=40), nullable=True))
    _link()



def _link() -> None:
    # until now each message followed the one before it
    messages = sa.table('messages', *map(sa.column, ('id', 'conversation_id', 'seq', 'parent_id')))
    connection = op.get_bind()
    rows = connection.execute(
        sa.select(messages.c.id, messages.c.conversation_id).order_by(messages.c.conversation_id, messages.c.seq)
    ).all()
    links = [
        {'child': row.id, 'parent': before.id}
        for before, row in zip(rows, rows[1:])
        if before.conversation_id == row.conversation_id
    ]
    if links:
        follow = sa.update(messages).where(messages.c.id == sa.bindparam('child'))
        connection.execute(follow.values(parent_id=sa.bindparam('parent')), links)
    heads = {row.conversation_id: row.id for row in rows}
    if heads:
        conversations = sa.table('conversations', sa.column('id'), sa.column('head_id'))
        lead = sa.update(conversations).where(conversations.c.id == sa.bindparam('conversation'))
        values = [{'conversation': conversation, 'head': head} for conversation, head in heads.items()]
        connection.execute(lead.values(head_id=sa.bindparam('head')), values)


def downgrade() -> None:
    with op.batch_alter_table('conversations', schema=None) as batch_op:
        batch_op.drop_column('head_id')
    with op.batch_alter_table('messages', schema=None) as batch_op:
        batch_op.drop_column('client_id')
        batch_op.drop_column('active')
        batch_op.drop_column('parent_id')

    op.drop_table('user_configs')
