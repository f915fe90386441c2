"""knowledge bases

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op


revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('knowledge_bases',
    sa.Column('id', sa.String(length=40), nullable=False),
    sa.Column('owner_id', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('updated_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['owner_id'], ['owners.id'], name=op.f('fk_knowledge_bases_owner_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_knowledge_bases'))
    )
    op.create_index('ix_knowledge_bases_owner_id_created_at', 'knowledge_bases', ['owner_id', 'created_at'])
    op.create_table('conversation_knowledge_bases',
    sa.Column('conversation_id', sa.Integer(), nullable=False),
    sa.Column('knowledge_base_id', sa.String(length=40), nullable=False),
    sa.ForeignKeyConstraint(['conversation_id'], ['conversations.id'], name=op.f('fk_conversation_knowledge_bases_conversation_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['knowledge_base_id'], ['knowledge_bases.id'], name=op.f('fk_conversation_knowledge_bases_knowledge_base_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('conversation_id', 'knowledge_base_id', name=op.f('pk_conversation_knowledge_bases'))
    )
    op.create_index(
        'ix_conversation_knowledge_bases_knowledge_base_id', 'conversation_knowledge_bases', ['knowledge_base_id']
    )
    with op.batch_alter_table('documents', schema=None) as batch_op:
        batch_op.add_column(sa.Column('knowledge_base_id', sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column('content_key', sa.String(length=120), nullable=True))
        batch_op.alter_column('conversation_id', existing_type=sa.Integer(), nullable=True)
        batch_op.create_foreign_key(
            batch_op.f('fk_documents_knowledge_base_id'), 'knowledge_bases', ['knowledge_base_id'], ['id'], ondelete='CASCADE'
        )
        batch_op.create_unique_constraint(batch_op.f('uq_documents_content_key'), ['content_key'])
        batch_op.create_index(
            batch_op.f('ix_documents_knowledge_base_id_created_at'), ['knowledge_base_id', 'created_at'], unique=False
        )
    _name_contents()


def _name_contents() -> None:
    # of the same file uploaded twice only one can have the name: the oldest that did not fail
    names = ('id', 'conversation_id', 'sha256', 'status', 'created_at', 'content_key')
    documents = sa.table('documents', *map(sa.column, names))
    connection = op.get_bind()
    failed = sa.case((documents.c.status == 'failed', 1), else_=0)
    rows = connection.execute(
        sa.select(documents.c.id, documents.c.conversation_id, documents.c.sha256)
        .order_by(failed, documents.c.created_at, documents.c.id)
    )
    named: dict[str, str] = {}
    for row in rows:
        named.setdefault(f'{row.conversation_id}:{row.sha256}', row.id)
    if named:
        name = sa.update(documents).where(documents.c.id == sa.bindparam('document'))
        values = [{'document': document, 'key': key} for key, document in named.items()]
        connection.execute(name.values(content_key=sa.bindparam('key')), values)


def downgrade() -> None:
    documents = sa.table('documents', sa.column('conversation_id'))
    op.execute(sa.delete(documents).where(documents.c.conversation_id.is_(None)))
    with op.batch_alter_table('documents', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_documents_knowledge_base_id'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_documents_knowledge_base_id_created_at'))
        batch_op.drop_constraint(batch_op.f('uq_documents_content_key'), type_='unique')
        batch_op.alter_column('conversation_id', existing_type=sa.Integer(), nullable=False)
        batch_op.drop_column('content_key')
        batch_op.drop_column('knowledge_base_id')

    op.drop_table('conversation_knowledge_bases')
    op.drop_table('knowledge_bases')
